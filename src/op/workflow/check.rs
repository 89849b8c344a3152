//! Whether the files that a workflow needs are there and right.

use super::judge::{Judgement, family, fits, is_of, judge, phrase};
use super::models::{Catalogue, ModelFile};
use super::{Digest, Hash, Need, Status, Workflow, nodes};
use crate::error::{Error, Kind, Result};
use crate::model::Checkpoint;
use crate::parallel;
use std::collections::HashMap;

/// Missing files for which near names are looked for.
const SUGGESTIONS: usize = 200;

/// Models that one adapter is compared with.
const BASES: usize = 64;

/// Opens what the catalogue lists. Called from several threads.
pub trait Library: Sync {
    /// The file's header.
    fn examine(&self, file: &ModelFile) -> Result<Checkpoint>;

    /// One of the file's hashes, in lower-case hex; `None` if it has none of that kind.
    fn digest(&self, file: &ModelFile, digest: Digest) -> Result<Option<String>>;
}

/// Looks up every need of `workflow` in `catalogue` and says what became of it.
///
/// Files are examined on `threads` threads, each once. Hashes are computed for files whose
/// hash the workflow gives.
///
/// Errors: those of starting threads; what is wrong with a file is a need's problem.
pub fn check(
    workflow: &mut Workflow,
    catalogue: &Catalogue,
    library: &dyn Library,
    threads: usize,
) -> Result<()> {
    let mut suggestions = 0;
    let mut places: Vec<Option<usize>> = Vec::with_capacity(workflow.needs.len());
    for need in &mut workflow.needs {
        let place = locate(need, catalogue);
        match place {
            Some(place) => {
                need.status = Status::Found;
                need.found_at = Some(catalogue.files()[place].path.to_string_lossy().into_owned());
            }
            None if need.status == Status::Unknown => {
                need.status = Status::Missing;
                suggestions += 1;
                let problem = (suggestions <= SUGGESTIONS).then(|| absence(need, catalogue));
                need.problem = problem.flatten();
            }
            None => {}
        }
        places.push(place);
    }
    let mut unique: Vec<usize> = places.iter().flatten().copied().collect();
    unique.sort_unstable();
    unique.dedup();
    let examine = |(): &mut (), piece: usize| {
        let file = &catalogue.files()[unique[piece]];
        Ok(examine(file, library))
    };
    let judged = parallel::map(threads, unique.len(), || (), examine)?;
    let judged: HashMap<usize, Judged> = unique.iter().copied().zip(judged).collect();
    let judge = |place: &Option<usize>| place.and_then(|place| judged.get(&place));
    let families = families(workflow, &places, &judge);
    let bases = active_bases(&workflow.needs);
    let rivals: Vec<Option<String>> = (0..places.len())
        .map(|index| rival(&workflow.needs, index, &bases, &families))
        .collect();
    for ((need, place), rival) in workflow.needs.iter_mut().zip(&places).zip(rivals) {
        if let Some(judged) = judge(place) {
            weigh(need, judged, rival);
        }
    }
    check_hashes(workflow, catalogue, &places, library, threads)
}

/// What examining a file gave.
type Judged = std::result::Result<Judgement, String>;

fn examine(file: &ModelFile, library: &dyn Library) -> Judged {
    match library.examine(file) {
        Ok(checkpoint) => Ok(judge(&checkpoint)),
        Err(error) if is_no_matter(&file.name, &error) => Ok(Judgement::default()),
        // The path stands beside it.
        Err(error) => Err(error
            .to_string()
            .replace(&*file.path.to_string_lossy(), "the file")),
    }
}

/// Whether a file that cannot be read may still be what is needed: formats that are not read
/// here, configurations.
fn is_no_matter(name: &str, error: &Error) -> bool {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    let known = ["safetensors", "sft", "ckpt", "pt", "pth", "gguf"];
    let is_known = known
        .iter()
        .any(|known| known.eq_ignore_ascii_case(extension));
    error.kind() == Kind::Unsupported && !is_known || matches!(extension, "yaml" | "onnx")
}

/// The file that a need means. A name that would leave the folders is marked wrong.
fn locate(need: &mut Need, catalogue: &Catalogue) -> Option<usize> {
    let name = need.file.replace('\\', "/");
    let is_absolute = name.starts_with('/') || name.as_bytes().get(1) == Some(&b':');
    if is_absolute || name.split('/').any(|part| part == "..") {
        need.status = Status::Wrong;
        need.problem = Some("leads out of the model folders; not looked up".to_owned());
        return None;
    }
    let in_folder = |place: &&usize| {
        let folder = need.folder.as_deref();
        folder.is_none_or(|folder| catalogue.files()[**place].folder == folder)
    };
    if let Some(folder) = &need.folder {
        if let Some(place) = catalogue.exact(folder, &name) {
            return Some(place);
        }
        if folder == "vae_approx" && need.is_loose {
            catalogue
                .alike(&format!("{name}_encoder"))
                .iter()
                .find(in_folder)?;
            return catalogue
                .alike(&format!("{name}_decoder"))
                .iter()
                .find(in_folder)
                .copied();
        }
        // ComfyUI tries the extensions of embeddings itself.
        let has_extension = nodes::has_model_extension(&name);
        if folder == "embeddings" && !has_extension {
            let extensions = ["safetensors", "pt", "bin"];
            let exact = |end: &&str| catalogue.exact(folder, &format!("{name}.{end}"));
            if let Some(place) = extensions.iter().find_map(exact) {
                return Some(place);
            }
        }
        if need.is_loose {
            return catalogue.alike(&name).iter().find(in_folder).copied();
        }
    }
    if need.is_folder_certain {
        return None;
    }
    let files = catalogue.files();
    let alike = catalogue.alike(&name).iter();
    let same = |place: &&usize| last(&files[**place].name) == last(&name);
    alike
        .filter(|place| need.folder.is_none() || !in_folder(place))
        .find(same)
        .copied()
        .or_else(|| catalogue.alike(&name).iter().find(same).copied())
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Where else a missing file is, or what has a similar name.
fn absence(need: &Need, catalogue: &Catalogue) -> Option<String> {
    let name = need.file.replace('\\', "/");
    let files = catalogue.files();
    let mut others: Vec<String> = Vec::new();
    for &place in catalogue.alike(&name).iter().take(3) {
        let file = &files[place];
        others.push(format!("`{}/{}`", file.folder, file.name));
    }
    if !others.is_empty() {
        return Some(format!("is not there, but {} is", others.join(", ")));
    }
    let near = catalogue.nearest(need.folder.as_deref(), &name);
    let near: Vec<String> = near.iter().map(|name| format!("`{name}`")).collect();
    (!near.is_empty()).then(|| format!("is not there; nearest: {}", near.join(", ")))
}

/// Marks what a file's header proves. `rival`: the need it is applied to and does not fit.
fn weigh(need: &mut Need, judged: &Judged, rival: Option<String>) {
    let folder = need.folder.as_deref().filter(|_| need.is_folder_certain);
    let class = need.class.as_deref().unwrap_or_default();
    let (status, problem) = match judged {
        Err(text) => (Status::Wrong, text.clone()),
        Ok(Judgement {
            danger: Some(danger),
            ..
        }) => (Status::Unsafe, danger.clone()),
        Ok(judgement) => {
            let identity = judgement.identity.as_ref();
            let misfit = identity.filter(|own| folder.is_some_and(|f| !fits(own, f)));
            let found = need.found_at.as_deref().unwrap_or_default();
            if let Some(identity) = misfit {
                let folder = folder.unwrap_or_default();
                (
                    Status::Wrong,
                    format!("is {}; {folder} are looked for here", phrase(identity)),
                )
            } else if let Some(rival) = rival {
                (Status::Wrong, rival)
            } else if folder.is_some_and(|folder| !nodes::lists(class, folder, found)) {
                let end = found.rsplit('.').next().unwrap_or_default();
                (Status::Wrong, format!("{class} does not list .{end} files"))
            } else {
                return;
            }
        }
    };
    need.status = status;
    need.problem = Some(problem);
}

/// A family of models, and its name for people.
type Family = (&'static str, String);

/// The family of each need that was found.
fn families<'a>(
    workflow: &Workflow,
    places: &[Option<usize>],
    judge: &impl Fn(&Option<usize>) -> Option<&'a Judged>,
) -> Vec<Option<Family>> {
    let family = |place| family(judge(place)?.as_ref().ok()?.identity.as_ref()?);
    places
        .iter()
        .take(workflow.needs.len())
        .map(family)
        .collect()
}

/// The models that anything in the workflow may be applied to.
fn active_bases(needs: &[Need]) -> Vec<usize> {
    let is_base = |need: &Need| {
        let folder = need.folder.as_deref();
        need.is_active() && matches!(folder, Some("checkpoints" | "diffusion_models"))
    };
    (0..needs.len())
        .filter(|&place| is_base(&needs[place]))
        .take(BASES)
        .collect()
}

/// Why a LoRA or ControlNet does not fit the models it is applied to.
fn rival(
    needs: &[Need],
    index: usize,
    all: &[usize],
    families: &[Option<Family>],
) -> Option<String> {
    let need = &needs[index];
    let (own, own_name) = families[index].as_ref()?;
    if !matches!(need.folder.as_deref(), Some("loras" | "controlnet")) {
        return None;
    }
    // Where nothing says which, any of the models may be meant.
    let bases = match need.bases.is_empty() {
        false => need.bases.as_slice(),
        true => all,
    };
    let known: Option<Vec<(&Family, &str)>> = bases
        .iter()
        .map(|&base| Some((families[base].as_ref()?, needs[base].file.as_str())))
        .collect();
    let known = known?;
    let ((_, family), name) = known.first()?;
    let fits = known.iter().any(|((base, _), _)| is_of(own, base));
    (!fits).then(|| format!("is made for {own_name}, but `{name}` is {family}"))
}

/// Compares the hashes that the workflow gives; each kind is computed once for each file.
fn check_hashes(
    workflow: &mut Workflow,
    catalogue: &Catalogue,
    places: &[Option<usize>],
    library: &dyn Library,
    threads: usize,
) -> Result<()> {
    let mut asked: Vec<(usize, Digest)> = Vec::new();
    for (need, place) in workflow.needs.iter().zip(places) {
        if let (Status::Found, Some(place), Some(hash)) = (need.status, place, &need.hash) {
            asked.extend(digests(hash).iter().map(|digest| (*place, *digest)));
        }
    }
    asked.sort_unstable();
    asked.dedup();
    let compute = |(): &mut (), piece: usize| {
        let (place, digest) = asked[piece];
        let computed = library.digest(&catalogue.files()[place], digest);
        Ok(computed.map_err(|error| error.to_string()))
    };
    let computed = parallel::map(threads, asked.len(), || (), compute)?;
    let computed: HashMap<(usize, Digest), Computed> = asked.into_iter().zip(computed).collect();
    for (need, place) in workflow.needs.iter_mut().zip(places) {
        if let (Status::Found, Some(place), Some(hash)) = (need.status, *place, &need.hash) {
            match compare(hash, |digest| computed.get(&(place, digest))) {
                Ok(()) => {}
                Err((status, problem)) => {
                    need.status = status;
                    need.problem = Some(problem);
                }
            }
        }
    }
    Ok(())
}

/// A file's hash, `None` if it has none of the kind, or why it could not be computed.
type Computed = std::result::Result<Option<String>, String>;

/// Whether one of the file's hashes is the one wanted; else its status and what is wrong.
fn compare<'a>(
    hash: &Hash,
    computed: impl Fn(Digest) -> Option<&'a Computed>,
) -> std::result::Result<(), (Status, String)> {
    let wanted = digits(hash);
    let digests = digests(hash);
    if digests.is_empty() {
        let problem = format!("its hash, of kind {}, was not checked", hash.kind);
        return Err((Status::Found, problem));
    }
    let mut first = None;
    for found in digests.iter().filter_map(|digest| computed(*digest)) {
        match found {
            Ok(Some(found)) if found.starts_with(&wanted) => return Ok(()),
            Ok(Some(found)) => {
                first.get_or_insert(found.get(..wanted.len()).unwrap_or(found));
            }
            Ok(None) => {}
            Err(error) => return Err((Status::Wrong, format!("cannot be hashed: {error}"))),
        }
    }
    let (found, kind) = (first.unwrap_or_default(), &hash.kind);
    let problem = format!("has the {kind} hash {found}; the workflow asks for {wanted}");
    Err((Status::Wrong, problem))
}

fn digits(hash: &Hash) -> String {
    hash.text.trim_start_matches("0x").to_ascii_lowercase()
}

/// The hashes that a text of this kind and length may be.
fn digests(hash: &Hash) -> &'static [Digest] {
    let digits = digits(hash);
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return &[];
    }
    let kind = hash.kind.to_ascii_uppercase().replace('-', "");
    match (kind.as_str(), digits.len()) {
        ("SHA256", 8..=64) | ("AUTOV2", 8..=64) => &[Digest::Sha256],
        // A1111 gives twelve digits of either.
        ("AUTOV3", 12..=64) => &[Digest::Sha256OfData, Digest::Sha256],
        ("AUTOV1", 8) => &[Digest::Sha256OfPart, Digest::Crc32],
        ("CRC32", 8) => &[Digest::Crc32],
        ("BLAKE3", 8..=64) => &[Digest::Blake3],
        _ => &[],
    }
}
