//! `ckpt audit`: whether a checkpoint is whole, safe and sane.

mod document;
mod page;
mod sarif;

use super::args::{Format, Global};
use super::progress::Bar;
use super::report::{self, Report};
use super::{Status, json, output};
use ckpt::format::{beside, check_members, examine};
use ckpt::io::read_small_text;
use ckpt::model::{Level, Note};
use ckpt::op::audit::{self, Audit, values};
use ckpt::op::identity::identify;
use ckpt::op::licence::{self, Class};
use ckpt::op::schema::{Schema, config};
use ckpt::parallel::Silent;
use ckpt::report::{Page, Writer};
use ckpt::safety::Policy;
use ckpt::{Error, Result, limits};
use clap::ValueEnum;
use document::Document;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// The arguments of `ckpt audit`.
#[derive(clap::Args, Debug)]
#[command(
    after_help = "Nothing in a file is run or imported: pickles are followed as data, \
wherever they lie, and each import is judged. What cannot be looked into is never clean.

Examples:
  ckpt audit model.pt                        whole and safe?
  ckpt audit downloads/                      everything in a folder
  ckpt audit *.ckpt --fail-on danger         only what would run code fails
  ckpt audit model.pt --allow-global my_models.Encoder
  ckpt audit model.pt --json | jq -r .verdict
  ckpt audit new.safetensors --schema model.toml   names, dtypes and shapes, as `ckpt inspect
                                             --as-schema` wrote them from a good checkpoint
  ckpt audit models/ --format sarif -o audit.sarif
  ckpt audit model.safetensors --values      sane numbers too
  ckpt audit models/ --licence allow=permissive,share-alike
  ckpt audit --list-rules                    what is looked for

Exit status: 0 clean; 1 a finding reaches --fail-on; 2 something could not be examined."
)]
pub(crate) struct Args {
    /// Files, indexes or folders
    #[arg(required_unless_present = "list_rules", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The mildest finding that makes the exit status 1
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = FailOn::Warning)]
    fail_on: FailOn,
    /// Take an import for harmless; repeatable
    #[arg(long, value_name = "MODULE.NAME")]
    allow_global: Vec<String>,
    /// Hold names, dtypes and shapes against a schema (TOML or JSON)
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Licences that are accepted, by class: permissive, share-alike, use-restricted,
    /// no-derivatives, non-commercial, research-only, unknown; any other is a finding
    #[arg(long, value_name = "allow=CLASS,...")]
    licence: Option<String>,
    /// Read every value too: NaN, Inf, zeros, magnitudes, copies, outliers, checksums
    #[arg(long)]
    values: bool,
    /// Magnitudes above this are extreme; the default is the largest number of F16
    #[arg(long, value_name = "NUMBER", default_value_t = values::MAX_MAGNITUDE, requires = "values")]
    max_magnitude: f64,
    /// Show every rule, and look at nothing
    #[arg(long, conflicts_with = "paths")]
    list_rules: bool,
}

/// The mildest finding that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FailOn {
    Warning,
    Error,
    Danger,
}

impl FailOn {
    fn level(self) -> Level {
        match self {
            FailOn::Warning => Level::Warning,
            FailOn::Error => Level::Error,
            FailOn::Danger => Level::Danger,
        }
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    if args.list_rules {
        list_rules(global)?;
        return Ok(Status::Done);
    }
    let licences = args.licence.as_deref().map(allowed_licences).transpose()?;
    let request = Request {
        args,
        licences,
        global,
        policy: policy(&args.allow_global)?,
        schema: args.schema.as_deref().map(read_schema).transpose()?,
    };
    match global.format() {
        Format::Sarif => request.write_sarif(),
        _ => report::run(&request, global, &args.paths),
    }
}

/// What the user takes for harmless: whole names, since a module is more than one expects.
fn policy(allowed: &[String]) -> Result<Policy> {
    if let Some(name) = allowed
        .iter()
        .find(|name| !name.trim_matches('.').contains('.'))
    {
        let message = format!("`--allow-global {name}` is no MODULE.NAME");
        return Err(Error::usage(message).with_hint("as the findings name it: `my_models.Encoder`"));
    }
    Ok(Policy {
        allowed: allowed.to_vec(),
    })
}

/// Reads `allow=permissive,share-alike`.
fn allowed_licences(text: &str) -> Result<Vec<Class>> {
    let classes = text.strip_prefix("allow=").unwrap_or(text);
    let class = |name: &str| {
        Class::parse(name.trim()).ok_or_else(|| {
            let all = Class::ALL.map(Class::name).join(", ");
            let message = format!("`--licence`: `{name}` is no class of licences; there are {all}");
            Error::usage(message).with_hint("as in `--licence allow=permissive,share-alike`")
        })
    };
    classes.split(',').map(class).collect()
}

fn read_schema(path: &Path) -> Result<Schema> {
    let text = read_small_text(path, limits::INDEX)?;
    Schema::read(&text).map_err(|error| error.in_file(&path.to_string_lossy()))
}

/// What was asked for.
struct Request<'a> {
    args: &'a Args,
    /// Classes of licences that are accepted; `None` for all.
    licences: Option<Vec<Class>>,
    global: &'a Global,
    policy: Policy,
    schema: Option<Schema>,
}

impl Request<'_> {
    fn audit(&self, path: &Path) -> Result<Audit> {
        let mut examined = examine(path, &self.policy)?;
        let checkpoint = examined.checkpoint.as_ref();
        if let Some(schema) = &self.schema {
            let unread = || Err(Error::unsupported("its tensors cannot be read"));
            let checked = checkpoint.map_or_else(unread, |checkpoint| schema.check(checkpoint));
            examined.notes.extend(found("the schema", checked));
        }
        let beside = beside(path);
        if let Some(checkpoint) = checkpoint {
            let identity = identify(checkpoint, &beside);
            if let Some(allowed) = &self.licences {
                let refusals = licence::find(checkpoint, &beside, &identity).refusals(allowed);
                let note = |text| Note::new("licence", Level::Warning, text);
                examined.notes.extend(refusals.into_iter().map(note));
            }
            // Those of `config.json` have a rule of their own.
            let conflicts = identity.conflicts.into_iter();
            let conflicts = conflicts.filter(|text| !text.starts_with("`config.json"));
            let note = |text| Note::new("identity", Level::Warning, text);
            examined.notes.extend(conflicts.map(note));
        }
        if let (Some(config), Some(checkpoint)) = (beside.config, checkpoint) {
            let checked = config::check(&config, checkpoint);
            examined.notes.extend(found("`config.json`", checked));
        }
        if self.args.values {
            let threads = self.global.threads();
            let total = checkpoint.map_or(0, |checkpoint| checkpoint.totals().1);
            let bar = Bar::new(self.global, "audit", total);
            if let Some(checkpoint) = checkpoint {
                let options = values::Options {
                    threads,
                    max_magnitude: self.args.max_magnitude,
                    progress: &bar,
                };
                let looked = values::notes(checkpoint, &options);
                examined.notes.extend(found("the values", looked));
            }
            let checked = check_members(path, threads, &Silent);
            examined.notes.extend(found("the checksums", checked));
        }
        Ok(audit::audit(&examined.path, checkpoint, examined.notes))
    }

    /// One log of all paths.
    fn write_sarif(&self) -> Result<Status> {
        let audits = self.args.paths.iter();
        let audits: Vec<Audit> = audits.map(|path| whole(path, self.audit(path))).collect();
        self.global.emit(|out| {
            json::write(out, &sarif::Log::new(&audits))?;
            writeln!(out)
        })?;
        let statuses = audits.iter().map(|audit| self.status(audit));
        Ok(statuses.max().unwrap_or(Status::Done))
    }
}

impl Report for Request<'_> {
    type Found = Audit;
    const SCHEMA: &'static str = document::SCHEMA;

    /// A single path that cannot be opened has a finding that says so.
    fn find(&self, path: &Path) -> Result<Audit> {
        let audit = self.audit(path);
        match self.args.paths.len() {
            1 => Ok(whole(path, audit)),
            _ => audit,
        }
    }

    fn document<'a>(&'a self, audit: &'a Audit) -> impl Serialize + 'a {
        Document::new(audit)
    }

    fn page(&self, audit: &Audit) -> Page {
        match self.global.format() {
            Format::Table => page::page(audit),
            _ => page::sheet(audit),
        }
    }

    fn status(&self, audit: &Audit) -> Status {
        if audit.is_incomplete() {
            return Status::Trouble;
        }
        match audit.reaches(self.args.fail_on.level()) {
            true => Status::Findings,
            false => Status::Done,
        }
    }
}

/// What a further look found; that it failed is a finding beside the others.
fn found(what: &str, looked: Result<Vec<Note>>) -> Vec<Note> {
    looked.unwrap_or_else(|error| {
        let text = format!(
            "{what} could not be held against the file: {}",
            error.message()
        );
        let mut note = Note::new("not-examined", Level::Error, text);
        note.place = error.place().clone();
        vec![note]
    })
}

/// An audit of a path, be it that the path could not be opened.
fn whole(path: &Path, audit: Result<Audit>) -> Audit {
    audit.unwrap_or_else(|error| {
        output::say_error(&error);
        let mut note = Note::new("not-examined", Level::Error, error.message());
        note.place = error.place().clone();
        let path = path.to_string_lossy();
        note.place
            .path
            .get_or_insert_with(|| path.clone().into_owned());
        audit::audit(&path, None, vec![note])
    })
}

fn list_rules(global: &Global) -> Result<()> {
    global.emit(|out| match global.format() {
        Format::Json | Format::Sarif => {
            json::write(out, &document::rules())?;
            writeln!(out)
        }
        _ => {
            let mut writer = Writer::new(out, global.style(), false)?;
            writer.page(&match global.format() {
                Format::Table => page::rule_lines(),
                _ => page::rules(),
            })?;
            writer.finish()
        }
    })
}
