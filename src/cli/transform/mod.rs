//! What convert and prune share: from a checkpoint that is ready to written outputs and a
//! report.

mod arrangement;
mod fit;
mod imatrix;
mod losses;
mod lossless;
mod make;
pub(crate) mod metadata;
mod page;
mod quantize;
mod report;
pub(crate) mod rules;
mod verify;

pub(crate) use make::{Made, Making};
pub(crate) use report::{Dropped, Report};

use super::args::{Format, Global};
use super::progress::Bar;
use super::{Status, companions};
use arrangement::ArrangementArgs;
use ckpt::dtype::cast::{self, Overflow};
use ckpt::format::{self, Edit, Output, Plan, Ties, WriteOptions, Written};
use ckpt::io::{SinkOptions, folder_of, is_folder, list_folder};
use ckpt::model::{Checkpoint, Tensor};
use ckpt::op::convert::{Change, Converted, Options, Reason, Scaling, Tied};
use ckpt::op::rules::Wanted;
use ckpt::op::verify::Verified;
use ckpt::op::{scale, tie};
use ckpt::text::{grouped, human_bytes};
use ckpt::{DType, Error, Result};
use clap::ValueEnum;
use quantize::QuantizeArgs;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Under which the flags of convert and prune stand in their help.
const DTYPES: &str = "Dtypes";
const FILES: &str = "Files";
const SAFETY: &str = "Safety";
pub(crate) const RULES: &str = "Names and rules";

/// How the output is written.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct WriteArgs {
    /// The dtype for every floating tensor, such as `bf16` or `f8_e4m3`; integers and bools stay.
    /// `auto`: the smallest of F32, BF16 and F16 that holds every element of a tensor exactly
    #[arg(long, value_name = "DTYPE", value_parser = target_dtype, help_heading = DTYPES)]
    dtype: Option<Wanted>,
    #[command(flatten)]
    quantize: QuantizeArgs,
    /// What becomes of values too large for the dtype: by default infinite, or the largest value where it has no infinity
    #[arg(long, value_name = "HOW", value_enum, help_heading = DTYPES)]
    overflow: Option<OverflowArg>,
    /// Divide matrices that become 8-bit floats by a scale, kept beside them as `NAME_scale`; vectors keep their dtype
    #[arg(long, requires = "dtype", help_heading = DTYPES)]
    scale: bool,
    /// Weigh errors of the k-quants (Q2_K to Q6_K) by an importance matrix, as llama.cpp's `imatrix` makes it: `.dat` or GGUF
    #[arg(long, value_name = "FILE", help_heading = quantize::HEADING)]
    imatrix: Option<PathBuf>,
    /// What becomes of tensors that share their bytes; `content` also finds matrices that only have equal ones
    #[arg(long, value_name = "HOW", value_enum, default_value_t = TiedArg::Alias, help_heading = FILES)]
    tied: TiedArg,
    #[command(flatten)]
    arrangement: ArrangementArgs,
    /// Leave the small files beside the weights behind (config, tokenizer, model card, licence)
    #[arg(long, help_heading = FILES)]
    weights_only: bool,
    /// Say what would be written, and write nothing
    #[arg(long, help_heading = SAFETY)]
    dry_run: bool,
    /// In the plan, every tensor a row of its own
    #[arg(long, requires = "dry_run", help_heading = SAFETY)]
    flat: bool,
    /// Read the output back and compare every tensor before it gets its name; print how far each is from the source
    #[arg(long, conflicts_with = "dry_run", help_heading = SAFETY)]
    verify: bool,
    /// Do not read the output back, which is done unasked where it takes the place of the source
    #[arg(long, conflicts_with = "verify", help_heading = SAFETY)]
    no_verify: bool,
    /// Let the output take the place of the source, verified first; where only the metadata changes and there is room for it, the data stays as it lies
    #[arg(long, help_heading = SAFETY)]
    in_place: bool,
    /// Do not wait until the disk has the bytes
    #[arg(long, help_heading = SAFETY)]
    no_sync: bool,
}

/// What `--dtype` takes.
fn target_dtype(text: &str) -> std::result::Result<Wanted, String> {
    if text.eq_ignore_ascii_case("auto") {
        return Ok(Wanted::Lossless);
    }
    let dtype = DType::from_name(text).filter(|dtype| cast::targets().any(|to| to == *dtype));
    dtype.map(Wanted::DType).ok_or_else(|| {
        let names: Vec<String> = cast::targets().map(|dtype| dtype.to_string()).collect();
        format!("not `auto`, nor one of {}", names.join(", "))
    })
}

/// What `--overflow` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OverflowArg {
    /// The largest value of the dtype
    Saturate,
    /// Infinity, or NaN where the dtype has none
    Inf,
    /// NaN
    Nan,
    /// An error that names the first
    Error,
}

impl OverflowArg {
    fn policy(self) -> Overflow {
        match self {
            OverflowArg::Saturate => Overflow::Saturate,
            OverflowArg::Inf => Overflow::Infinity,
            OverflowArg::Nan => Overflow::Nan,
            OverflowArg::Error => Overflow::Error,
        }
    }
}

/// What `--tied` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum TiedArg {
    /// Stored once under several names, where the format can
    Alias,
    /// Written again under each name
    Clone,
    /// As `alias`, and matrices of equal bytes too
    Content,
    /// Not written: an error that names them
    Error,
}

impl WriteArgs {
    /// Whether nothing is to be written.
    pub(crate) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Does with tied tensors what is wanted before anything is converted.
    pub(crate) fn tie(
        &self,
        checkpoint: &mut Checkpoint,
        target: &Path,
        global: &Global,
    ) -> Result<()> {
        if matches!(self.tied, TiedArg::Error) {
            return tie::refuse(checkpoint).map_err(|error| error.in_file(&checkpoint.path));
        }
        let is_content = matches!(self.tied, TiedArg::Content);
        if format::ties_of_target(target)? != Ties::Copies {
            if is_content {
                let bar = Bar::new(global, "comparing", tie::bytes_to_read(checkpoint));
                tie::by_content(checkpoint, global.threads(), &bar)?;
            }
            return Ok(());
        }
        let tied = checkpoint.tensors.iter().filter(|t| t.tied_to.is_some());
        let count = tied.count();
        if is_content || (count > 0 && matches!(self.tied, TiedArg::Alias)) {
            let (path, count) = (&checkpoint.path, grouped(count as u64));
            global.say(&format!(
                "{path}: the format of the output has no second names: {count} tensors that share bytes are written again"
            ));
        }
        Ok(())
    }

    /// What becomes of the tensors' elements in a file called `target`.
    pub(crate) fn options(&self, target: &Path, threads: usize) -> Result<Options> {
        let scaling = match (self.scale, self.dry_run) {
            (false, _) => Scaling::None,
            (true, true) => Scaling::Planned,
            (true, false) => Scaling::Measured(threads),
        };
        let dtype = match self.dtype {
            Some(Wanted::DType(dtype)) => Some(dtype),
            _ => None,
        };
        if let Some(wanted) = self.dtype
            && self.scale
            && dtype.and_then(scale::largest_of).is_none()
        {
            return Err(Error::usage(format!("{wanted} takes no scale"))
                .with_hint("`--scale` goes with 8-bit floats such as `--dtype f8_e4m3`"));
        }
        Ok(Options {
            wanted: Vec::new(),
            lossless: Vec::new(),
            fitted: Vec::new(),
            is_pure: self.quantize.pure,
            no_fallback: self.quantize.no_fallback,
            dtype,
            overflow: self.overflow.map(OverflowArg::policy),
            scaling,
            tied: match (self.tied, format::ties_of_target(target)?) {
                (TiedArg::Clone, _) | (_, Ties::Copies) => Tied::Clone,
                _ => Tied::Alias,
            },
            holds: format::dtypes_of_target(target)?,
            importance: self.imatrix.as_deref().map(imatrix::open).transpose()?,
        })
    }
}

impl WriteArgs {
    /// How the output is written. `replace`: it takes the place of the source.
    fn write_options(&self, replace: bool, global: &Global) -> WriteOptions {
        WriteOptions {
            sink: SinkOptions {
                replace: replace || global.force,
                sync: !self.no_sync,
            },
            threads: global.threads(),
            arrangement: self.arrangement.arrangement(),
            in_place: self.in_place,
        }
    }
}

/// Refuses formats that neither command has.
pub(crate) fn require_format(command: &str, global: &Global) -> Result<()> {
    let formats = [
        Format::Table,
        Format::Json,
        Format::Csv,
        Format::Markdown,
        Format::Html,
    ];
    global.require_format(command, &formats)
}

/// Writes what `report` is about to `target`, or says what would be written.
pub(crate) fn finish(
    mut report: Report<'_>,
    target: &Path,
    args: &WriteArgs,
    global: &Global,
) -> Result<Status> {
    let converted = report.converted;
    let path = &converted.checkpoint.path;
    let plan = format::plan(
        &converted.checkpoint,
        target,
        &args.arrangement.arrangement(),
    )?;
    say_changes(global, path, converted, &plan);
    let replace = check_in_place(args, report.source, &converted.checkpoint, &plan)?;
    if args.in_place && !replace && plan.replaced(&converted.checkpoint)?.is_empty() {
        global.say(&format!(
            "{}: stays as it is: `--in-place` replaces files of the same name, which no output has",
            report.source.display()
        ));
    }
    report.outputs = plan.outputs();
    report.places = plan.places();
    report.is_flat = args.flat;
    let edit = plan_edit(&report, replace, target)?;
    if let Some(edit) = &edit {
        report.outputs = vec![Output {
            path: target.to_owned(),
            bytes: edit.file_bytes(),
        }];
    }
    if args.dry_run {
        global.emit(|out| page::write(&report, global, out))?;
        return Ok(Status::Done);
    }
    let bar = Bar::new(global, report.doing, plan.data_bytes());
    let checkpoint = &converted.checkpoint;
    let is_verified = args.verify || (replace && !args.no_verify);
    let mut verified = None;
    let mut check = |found: &[Tensor]| {
        verified = Some(verify::verify(global, checkpoint, found)?);
        Ok(())
    };
    let check: Option<format::Check<'_>> = match is_verified {
        true => Some(&mut check),
        false => None,
    };
    let written = match edit {
        None => format::write_checked(
            checkpoint,
            target,
            &args.write_options(replace, global),
            &bar,
            check,
        )
        .map_err(|error| error.in_file(path))?,
        Some(edit) => {
            let is_in_place = edit.bytes_in_place().is_some();
            edit.apply(checkpoint, !args.no_sync, check)?;
            if is_in_place && is_verified {
                // Nobody touched them.
                verified = Some(vec![Verified::IDENTICAL; checkpoint.tensors.len()]);
            }
            report.fate = match is_in_place {
                true => "metadata changed in place",
                false => "metadata changed, data copied as it lies",
            };
            Written::untouched(report.outputs.clone(), checkpoint)
        }
    };
    report.verified = verified;
    drop(bar);
    if !args.weights_only && is_folder(&report.companions) {
        let special = companions::Special {
            skips: report.skips,
            rewritten: &report.rewritten,
        };
        companions::bring(global, &report.companions, target, !args.no_sync, &special)?;
    }
    say_old_files(global, &written.removed, &written.stale);
    losses::say(global, target, converted, &written.losses);
    report.losses = Some(written.losses);
    if global.format() != Format::Json {
        report.say_done(global);
    }
    if args.verify {
        report.add_verified(target);
    }
    match global.format() {
        Format::Table if report.page.is_none() => {}
        Format::Table => global.emit(|out| page::write_more(&report, global, out))?,
        _ => global.emit(|out| page::write(&report, global, out))?,
    }
    Ok(Status::Done)
}

/// How the metadata alone is changed, if nothing else is asked for and the file has room for it.
fn plan_edit(report: &Report<'_>, replace: bool, target: &Path) -> Result<Option<Edit>> {
    let canonical = |path: &Path| std::fs::canonicalize(path).ok();
    if !replace || !report.edits_metadata || canonical(report.source) != canonical(target) {
        return Ok(None);
    }
    format::plan_edit(&report.converted.checkpoint, target)
}

/// Stems of the files that a library looks for instead of `model`: diffusers, PEFT.
const OWN_STEMS: [&str; 2] = ["diffusion_pytorch_model", "adapter_model"];

/// Inside `target`, if that is a folder; of a folder, under the name that its library looks for.
pub(crate) fn target_path(source: &Path, target: &Path) -> PathBuf {
    if !is_folder(target) {
        return target.to_owned();
    }
    let stem = match is_folder(source) {
        true => own_stem(source),
        false => source.file_stem().filter(|stem| *stem != "-"),
    };
    let mut name = stem.unwrap_or("model".as_ref()).to_os_string();
    name.push(".safetensors");
    target.join(name)
}

/// The stem that the library of the folder `source` looks for, where that is not `model`.
fn own_stem(source: &Path) -> Option<&'static OsStr> {
    let entries = list_folder(source).unwrap_or_default();
    let has = |stem: &str| {
        let is_meant = |name: &str| {
            let holds = name.contains(".safetensors") || name.contains(".bin");
            let rest = name.strip_prefix(stem);
            holds && rest.is_some_and(|rest| rest.starts_with(['.', '-']))
        };
        entries.iter().any(|entry| is_meant(&entry.name))
    };
    if has("model") || has("pytorch_model") {
        return None;
    }
    OWN_STEMS.iter().find(|stem| has(stem)).map(OsStr::new)
}

/// Says which values have no place in a file of tensors.
pub(crate) fn say_values(global: &Global, path: &str, checkpoint: &Checkpoint) {
    const SHOWN: usize = 8;
    let count = checkpoint.values.len();
    if count == 0 {
        return;
    }
    let keys = checkpoint.values.iter().take(SHOWN);
    let mut keys: Vec<&str> = keys.map(|(key, _)| key.as_str()).collect();
    if count > SHOWN {
        keys.push("...");
    }
    let keys = keys.join(", ");
    global.say(&format!(
        "{path}: values that are no tensors are left out: {keys}"
    ));
}

/// Says what could not be kept as it was.
fn say_changes(global: &Global, path: &str, converted: &Converted, plan: &Plan) {
    let sum = |reason: Reason, bytes: fn(&Change) -> u64| -> u64 {
        let changes = converted.changes.iter();
        changes.filter(|c| c.reason == reason).map(bytes).sum()
    };
    let before = sum(Reason::Decoded, |change| change.bytes_before);
    if before > 0 {
        let (before, after) = (
            human_bytes(before),
            human_bytes(sum(Reason::Decoded, |change| change.bytes_after)),
        );
        global.say(&format!(
            "{path}: quantised blocks are decoded to F32: {before} become {after}; `--dtype bf16` halves that"
        ));
    }
    quantize::say(global, path, converted);
    for note in &plan.notes {
        global.say(&format!("{path}: {note}"));
    }
}

/// Whether the output replaces the source, and may.
fn check_in_place(
    args: &WriteArgs,
    source: &Path,
    checkpoint: &Checkpoint,
    plan: &Plan,
) -> Result<bool> {
    let canonical = |path: &Path| std::fs::canonicalize(path).ok();
    let mut sources: HashSet<PathBuf> = HashSet::new();
    let mut last = String::new();
    for tensor in &checkpoint.tensors {
        for source in tensor.payload.sources() {
            if source.name() != last {
                source.name().clone_into(&mut last);
                sources.extend(canonical(Path::new(&last)));
            }
        }
    }
    sources.extend(canonical(source));
    if plan.is_of_index(checkpoint) {
        sources.extend(canonical(&plan.index_path()));
    }
    for output in plan.outputs() {
        let is_source = canonical(&output.path).is_some_and(|path| sources.contains(&path));
        if is_source && !args.in_place {
            let error = Error::usage("is the source itself");
            return Err(error
                .in_file(&output.path.to_string_lossy())
                .with_hint("`--in-place` lets the output take its place"));
        }
        if is_source {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Says what became of an earlier set of the same name.
fn say_old_files(global: &Global, removed: &[PathBuf], stale: &[PathBuf]) {
    const SHOWN: usize = 4;
    let say = |paths: &[PathBuf], what: &str| {
        let names = paths.iter().filter_map(|path| path.file_name()).take(SHOWN);
        let mut names: Vec<String> = names.map(|name| format!("`{}`", name.display())).collect();
        if let Some(more @ 1..) = paths.len().checked_sub(SHOWN) {
            names.push(format!("{more} more"));
        }
        if let Some(first) = paths.first() {
            global.say(&format!(
                "{}: {what}: {}",
                folder_of(first).display(),
                names.join(", ")
            ));
        }
    };
    say(removed, "removed, replaced by what was written");
    say(
        stale,
        "warning: called like what was written, but no part of it; programs may load it instead",
    );
}
