//! Giving a complete set of files its names, and taking away what it replaces.
//!
//! All files are complete, and on disk, before the first has a name. What is done then is a list
//! of steps, each of which the system does at once. A run that is killed between two of them
//! leaves:
//!
//! | new set | while it gets its names | then, while the old set goes |
//! |---|---|---|
//! | one file | the old set, whole | the new file, whole, and a part of the old set |
//! | shards with an index, no name of which is taken | the old set, whole, and some new shards | the new set, whole, and a part of the old one |
//! | the same, names taken | the old set, whole; after the index has changed, the new one, whole, partly under passing names, which the index says | |
//! | split GGUF files, no name of which is taken | the old set, whole, and some new files; the first comes last | the new set, whole, and a part of the old one |
//! | the same, names taken | a set with missing files, which no program loads; the old ones are whole, under names that end in `.old` | |
//!
//! So a reader finds the old set, the new one or an error, and never a mixture. The index of an
//! old set goes before its shards. Power that fails is a kill between two steps as far as the
//! file system keeps their order.

use super::plan::{File, Plan};
use crate::error::{Error, Result};
use crate::format::files_of_index;
use crate::io::{
    Sink, SinkOptions, file_exists, passing_name, real_path, remove_file, remove_leftovers,
    rename_file,
};
use crate::model::Checkpoint;
use serde_json::Value as Json;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What is done at once.
pub(super) enum Step {
    /// One of the files gets a name beside its own.
    Link(usize, PathBuf),
    /// One of the files gets its name, be it in the place of another.
    Name(usize),
    /// The index says this.
    Index(PathBuf, Vec<u8>),
    /// An old file is set aside.
    SetAside(PathBuf),
    /// An old file, or a passing name, goes.
    Remove(PathBuf),
}

/// What it takes to name the files of `plan` and its index, and to take away what is `old`.
///
/// Errors: `Usage` if the target was being replaced by a run that was killed, and is not whole.
pub(super) fn steps(plan: &Plan, old: &[PathBuf]) -> Result<Vec<Step>> {
    let mut steps = naming(plan)?;
    steps.extend(old.iter().cloned().map(Step::Remove));
    Ok(steps)
}

/// Files that get their names.
pub(super) struct Naming {
    /// Those of the plan, in order, then its index; none where it has its name.
    pub(super) sinks: Vec<Option<Sink>>,
    pub(super) options: SinkOptions,
}

impl Naming {
    /// Does all `steps`. After an error what was done is undone, unless the new set is whole.
    pub(super) fn finish(mut self, steps: Vec<Step>) -> Result<()> {
        if self.options.sync {
            self.sinks.iter().flatten().try_for_each(Sink::sync)?;
        }
        let mut undo = Vec::new();
        for step in steps {
            if let Err(error) = self.step(step, &mut undo) {
                undo.into_iter().rev().for_each(Undo::run);
                return Err(error);
            }
        }
        Ok(())
    }

    fn step(&mut self, step: Step, undo: &mut Vec<Undo>) -> Result<()> {
        match step {
            Step::Link(file, path) => {
                if let Some(Some(sink)) = self.sinks.get(file) {
                    sink.link(&path).map_err(|error| {
                        error.with_hint("shards are replaced by links; another folder needs none")
                    })?;
                    undo.push(Undo::Remove(path));
                }
            }
            Step::Name(file) => {
                let sink = self.sinks.get_mut(file).and_then(Option::take);
                if let Some(sink) = sink {
                    let path = sink.target().to_owned();
                    let is_new = !file_exists(&path);
                    sink.finish()?;
                    if is_new {
                        undo.push(Undo::Remove(path));
                    }
                }
            }
            Step::Index(path, bytes) => {
                let sink = Sink::create(&path, self.options)?;
                sink.write_all_at(0, &bytes)?;
                sink.finish()?;
                undo.clear();
            }
            Step::SetAside(path) => {
                let aside = set_aside(&path);
                rename_file(&path, &aside)?;
                undo.push(Undo::Rename(aside, path));
            }
            Step::Remove(path) => remove_file(&path),
        }
        Ok(())
    }
}

enum Undo {
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl Undo {
    fn run(self) {
        match self {
            Undo::Remove(path) => remove_file(&path),
            Undo::Rename(from, to) => {
                // What cannot be undone is said by the error that led here.
                let _ = rename_file(&from, &to);
            }
        }
    }
}

/// Where a part of a split file stands while it is replaced.
pub(in crate::format) fn set_aside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".old");
    path.with_file_name(name)
}

/// What to do about an old part that was set aside and is still there.
pub(in crate::format) fn set_aside_hint(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().display();
    format!(
        "a run was killed while it replaced them: `{name}` and the like are the old ones; rename them back"
    )
}

/// Whether a file is called like an old part that was set aside.
pub(in crate::format) fn is_set_aside(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".gguf.old")
}

fn naming(plan: &Plan) -> Result<Vec<Step>> {
    let files = plan.files.as_slice();
    let index = files.len();
    // The first comes last: it is the one that programs open.
    let names = (0..index).rev().map(Step::Name);
    let is_taken = |file: &&File| file_exists(&file.path);
    let taken: Vec<&File> = files.iter().filter(is_taken).collect();
    match &plan.index {
        None if files.len() < 2 || taken.is_empty() => Ok(names.collect()),
        Some(_) if taken.is_empty() => Ok(names.chain([Step::Name(index)]).collect()),
        Some((path, bytes)) => {
            let passing: Vec<PathBuf> = files.iter().map(|file| passing(&file.path)).collect();
            let switched = with_names(bytes, files, &passing)?;
            let links = passing.iter().cloned().enumerate();
            let links = links.map(|(file, path)| Step::Link(file, path));
            let switch = [Step::Index(path.clone(), switched)];
            let removals = passing.iter().cloned().map(Step::Remove);
            let all = links.chain(switch).chain(names);
            Ok(all.chain([Step::Name(index)]).chain(removals).collect())
        }
        None => {
            let old = || taken.iter().map(|file| file.path.clone());
            // With all files there, what was set aside is what a killed run did not remove.
            if taken.len() < files.len() {
                check_not_set_aside(files)?;
            }
            let aside = old().map(Step::SetAside);
            let removals = old().map(|path| Step::Remove(set_aside(&path)));
            Ok(aside.chain(names).chain(removals).collect())
        }
    }
}

fn check_not_set_aside(files: &[File]) -> Result<()> {
    let mut left = files.iter().map(|file| set_aside(&file.path));
    match left.find(|path| file_exists(path)) {
        Some(path) => Err(Error::usage("was set aside by a run that was killed")
            .in_file(&path.to_string_lossy())
            .with_hint("rename all such files back to have the old set, or remove them")),
        None => Ok(()),
    }
}

/// A passing name for a shard, of its own extension, by which programs go.
fn passing(path: &Path) -> PathBuf {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    passing_name(path, &format!(".{extension}"))
}

/// Whether a file is called like a shard that has a passing name.
pub(in crate::format) fn is_passing(name: &str) -> bool {
    name.starts_with('.') && name.contains(".tmp.")
}

/// The index, with other names for the shards.
fn with_names(index: &[u8], files: &[File], names: &[PathBuf]) -> Result<Vec<u8>> {
    let text = |path: &Path| path.file_name().map(|n| n.to_string_lossy().into_owned());
    let files = files.iter().filter_map(|file| text(&file.path));
    let names: HashMap<String, String> = files.zip(names.iter().filter_map(|n| text(n))).collect();
    let unreadable = |e: serde_json::Error| Error::usage(e.to_string());
    let mut index: Json = serde_json::from_slice(index).map_err(unreadable)?;
    let map = index.get_mut("weight_map").and_then(Json::as_object_mut);
    for shard in map.into_iter().flat_map(|map| map.values_mut()) {
        if let Some(name) = shard.as_str().and_then(|shard| names.get(shard)) {
            *shard = Json::from(name.as_str());
        }
    }
    serde_json::to_vec_pretty(&index).map_err(unreadable)
}

impl Plan {
    /// The files of `checkpoint` that this output takes the place of, though it does not have
    /// their names: shards of another number, the file in one piece. The index comes first.
    ///
    /// Errors: `Io` if the target's folder cannot be listed.
    pub fn replaced(&self, checkpoint: &Checkpoint) -> Result<Vec<PathBuf>> {
        let sources = sources(checkpoint);
        let is_source = |path: &Path| real_path(path).is_some_and(|path| sources.contains(&path));
        let outputs: Vec<PathBuf> = self.outputs().into_iter().map(|out| out.path).collect();
        let stale = self.stale()?;
        // Of a whole set some files may hold nothing that is taken over. One shard that was
        // opened by itself does not speak for the others.
        let is_set = ["sharded", "split"].contains(&checkpoint.variant.as_str());
        let mut old = Vec::new();
        if is_set && self.is_of_index(checkpoint) {
            let listed = files_of_index(&self.index_path())?.into_iter();
            old.push(self.index_path());
            old.extend(listed.map(|name| self.target.with_file_name(name)));
        }
        let family = stale.iter().chain(&outputs);
        let counts: HashSet<String> = family
            .filter(|path| is_source(path))
            .filter_map(|path| count_of(path))
            .collect();
        old.extend(stale.into_iter().filter(|path| match count_of(path) {
            Some(count) => is_set && counts.contains(&count),
            None => is_source(path),
        }));
        let mut seen: HashSet<PathBuf> = outputs.into_iter().collect();
        old.retain(|path| seen.insert(path.clone()));
        old.sort_by_key(|path| (*path != self.index_path(), path.clone()));
        Ok(old)
    }

    /// Whether the index of the target's shards, as it stands, is that of `checkpoint`.
    pub fn is_of_index(&self, checkpoint: &Checkpoint) -> bool {
        let sources = sources(checkpoint);
        let listed = files_of_index(&self.index_path()).unwrap_or_default();
        let paths = listed.iter().map(|name| self.target.with_file_name(name));
        let mut paths = paths.filter_map(|path| real_path(&path));
        paths.any(|path| sources.contains(&path))
    }

    /// Removes what killed runs have left of this target, unless its index lists it.
    pub(super) fn clean(&self) {
        let listed = files_of_index(&self.index_path()).unwrap_or_default();
        remove_leftovers(self.folder(), &listed, &|name| self.is_related(name));
    }
}

/// `00003` of `model-00001-of-00003.safetensors`.
fn count_of(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_string_lossy().into_owned();
    let (_, count) = stem.rsplit_once("-of-")?;
    Some(count.to_owned())
}

/// The files that hold the tensors of `checkpoint`.
fn sources(checkpoint: &Checkpoint) -> HashSet<PathBuf> {
    let tensors = checkpoint.tensors.iter();
    let sources = tensors.flat_map(|tensor| tensor.payload.sources());
    let names: HashSet<&str> = sources.map(|source| source.name()).collect();
    let paths = names.into_iter();
    paths
        .filter_map(|name| real_path(Path::new(name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Arrangement, plan};
    use super::super::shards::{Cut, ShardOrder};
    use super::super::{WriteOptions, moving, write};
    use super::*;
    use crate::DType;
    use crate::format;
    use crate::io::list_folder;
    use crate::model::{Payload, Shape, Storage, Tensor};
    use crate::parallel::Silent;
    use crate::stream::Reader;

    /// Seven tensors, each of its number.
    fn model() -> Checkpoint {
        let mut checkpoint = Checkpoint::default();
        for (index, len) in [64u16, 8, 32, 16, 64, 8, 32].into_iter().enumerate() {
            let data = (index as f32).to_le_bytes().repeat(len.into());
            let payload = Payload::Stored(Storage::inline(data));
            let shape = Shape::new([len.into()]).unwrap();
            let name = format!("layers.{index}.w");
            let tensor = Tensor::new(name, DType::F32, shape, payload);
            checkpoint.tensors.push(tensor);
        }
        checkpoint
    }

    /// The checkpoint at `path` in another dtype, which tells the new set from the old.
    fn cast(path: &Path) -> Checkpoint {
        let mut checkpoint = format::open(path).unwrap();
        for tensor in &mut checkpoint.tensors {
            let from = std::sync::Arc::new(tensor.clone());
            tensor.payload = Payload::Cast(from);
            tensor.dtype = DType::BF16;
        }
        checkpoint
    }

    fn options(count: usize, shard_order: ShardOrder) -> WriteOptions {
        WriteOptions {
            sink: SinkOptions {
                replace: true,
                sync: false,
            },
            threads: 1,
            arrangement: Arrangement {
                cut: Cut::Into(count),
                shard_order,
                ..Arrangement::default()
            },
            in_place: true,
        }
    }

    /// The dtype of all seven tensors, whose values are right.
    fn dtype_of(path: &Path) -> Result<DType> {
        let checkpoint = format::open(path)?;
        let mut tensors = checkpoint.tensors;
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        for (found, expected) in tensors.iter().zip(model().tensors) {
            assert_eq!(found.name, expected.name);
            let found = Tensor::new(
                "",
                DType::F32,
                found.shape.clone(),
                Payload::Cast(found.clone().into()),
            );
            let read = |tensor| Reader::open(tensor).unwrap().read_all().unwrap();
            assert_eq!(read(&found), read(&expected));
        }
        let mut dtypes: Vec<DType> = tensors.iter().map(|tensor| tensor.dtype).collect();
        assert_eq!(dtypes.len(), 7);
        dtypes.dedup();
        assert_eq!(dtypes.len(), 1, "{path:?} is a mixture");
        Ok(dtypes[0])
    }

    /// All ways into the folder: by itself, by what programs look for first.
    fn ways_in(folder: &Path, extension: &str) -> Vec<PathBuf> {
        let mut ways = vec![folder.to_owned()];
        for entry in list_folder(folder).unwrap() {
            let is_index = entry.name == format!("m.{extension}.index.json");
            if is_index || entry.name == format!("m.{extension}") {
                ways.push(entry.path);
            }
        }
        ways
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = list_folder(folder).unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }

    /// Replaces the set in `folder`; a kill takes the run after so many steps. Whether any were
    /// left.
    fn replace(
        folder: &Path,
        extension: &str,
        options: &WriteOptions,
        killed_after: usize,
    ) -> bool {
        let way = ways_in(folder, extension).pop().unwrap();
        let checkpoint = cast(&way);
        let target = folder.join(format!("m.{extension}"));
        let plan = plan(&checkpoint, &target, &options.arrangement).unwrap();
        let old = plan.replaced(&checkpoint).unwrap();
        let mut steps = steps(&plan, &old).unwrap();
        let create = |path| Sink::create(path, options.sink).unwrap();
        let mut sinks: Vec<Sink> = plan.files.iter().map(|file| create(&file.path)).collect();
        moving::move_bytes(&plan, &sinks, &checkpoint, 1, &Silent).unwrap();
        if let Some((path, bytes)) = &plan.index {
            let sink = create(path);
            sink.write_all_at(0, bytes).unwrap();
            sinks.push(sink);
        }
        let naming = Naming {
            sinks: sinks.into_iter().map(Some).collect(),
            options: options.sink,
        };
        let is_killed = steps.len() > killed_after;
        steps.truncate(killed_after);
        naming.finish(steps).unwrap();
        is_killed
    }

    /// Kills the replacement of `old` shards by `new` after each of its steps.
    fn kill_everywhere(extension: &str, old: usize, new: usize) {
        let mut killed_after = 0;
        loop {
            let place = format!("{extension}, {old} to {new}, killed after {killed_after} steps");
            let made = tempfile::tempdir().unwrap();
            let folder = made.path();
            let target = folder.join(format!("m.{extension}"));
            let old_options = options(old, ShardOrder::Source);
            write(&model(), &target, &old_options, &Silent).unwrap();
            let others = ["m-adapter.bin", "m2-00001-of-00003.bin", "config.json"];
            for other in others {
                std::fs::write(folder.join(other), "{}").unwrap();
            }
            let options = options(new, ShardOrder::Balanced);
            let is_killed = replace(folder, extension, &options, killed_after);
            let mut found = None;
            for way in ways_in(folder, extension) {
                match dtype_of(&way) {
                    Ok(dtype) => found = Some(dtype),
                    // No program loads what has no first part.
                    Err(error) if extension == "gguf" && old == new && old > 1 => {
                        let hint = error.hint().unwrap_or_default();
                        assert!(hint.contains("rename them back"), "{place}: {error}");
                    }
                    Err(error) => panic!("{place}: {error}"),
                }
            }
            if found.is_none() {
                restore(folder);
                assert_eq!(dtype_of(folder).unwrap(), DType::F32, "{place}");
            }
            // The next run succeeds, and says what it cannot know to be old.
            let way = ways_in(folder, extension).pop().unwrap();
            let written = write(&cast(&way), &target, &options, &Silent).unwrap();
            for way in ways_in(folder, extension) {
                if !written.stale.contains(&way) {
                    assert_eq!(dtype_of(&way).unwrap(), DType::BF16, "{place}");
                }
            }
            let outputs = written.outputs.into_iter().map(|output| output.path);
            let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
            let mut expected: Vec<String> = outputs.chain(written.stale).map(name).collect();
            expected.extend(others.map(str::to_owned));
            expected.sort();
            assert_eq!(names(folder), expected, "{place}");
            if !is_killed {
                assert_eq!(found, Some(DType::BF16), "{place}");
                break;
            }
            killed_after += 1;
        }
        assert!(killed_after > 0);
    }

    /// What the message about a missing part says: the old files get their names back.
    fn restore(folder: &Path) {
        for name in names(folder) {
            if let Some(old) = name.strip_prefix('.').and_then(|n| n.strip_suffix(".old")) {
                std::fs::rename(folder.join(&name), folder.join(old)).unwrap();
            }
        }
    }

    #[test]
    fn a_kill_between_any_two_steps_leaves_the_old_set_or_the_new() {
        for extension in ["safetensors", "bin", "gguf"] {
            for (old, new) in [(1, 1), (1, 3), (3, 1), (3, 2), (2, 3), (3, 3)] {
                kill_everywhere(extension, old, new);
            }
        }
    }
}
