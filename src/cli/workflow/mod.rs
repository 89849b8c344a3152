//! `ckpt workflow`: the model files that a workflow needs, and whether they are there and right.

mod document;
mod library;
mod page;

use super::args::{Format, Global};
use super::json::{self, Failure};
use super::{Status, output};
use ckpt::format::read_texts;
use ckpt::io::Source;
use ckpt::op::workflow::{self, Catalogue, Workflow};
use ckpt::report::{Page, Writer};
use ckpt::{Error, Result};
use document::Document;
use library::Files;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The arguments of `ckpt workflow`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ckpt workflow picture.png                         what the workflow inside needs
  ckpt workflow flow.json --models ComfyUI/models   and whether it is there, right and safe
  ckpt workflow flow.json --models ComfyUI/models --extra-paths extra_model_paths.yaml
  ckpt workflow flow.json --json | jq -r '.needs[] | select(.status == \"missing\") | .url'

Exit status: 1 if a node that runs needs a file that is missing, wrong or unsafe.")]
pub(crate) struct Args {
    /// Workflows (JSON, as saved or for the API), or pictures and checkpoints that hold one
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The folder of models: ComfyUI's `models`, or the one that holds it; repeatable
    #[arg(long, value_name = "DIR")]
    models: Vec<PathBuf>,
    /// More folders of models, as ComfyUI's `extra_model_paths.yaml` lists them; repeatable
    #[arg(long, value_name = "FILE")]
    extra_paths: Vec<PathBuf>,
}

/// One file's workflow, with what became of its needs.
struct Found {
    path: String,
    workflow: Workflow,
}

pub(crate) fn run(args: &Args, global: &Global) -> Result<Status> {
    let is_looked_up = !args.models.is_empty() || !args.extra_paths.is_empty();
    let catalogue = is_looked_up
        .then(|| library::catalogue(&args.models, &args.extra_paths))
        .transpose()?;
    let request = Request { global, catalogue };
    if let [path] = args.files.as_slice() {
        let found = request.read(path)?;
        global.emit(|out| request.write_one(out, &found))?;
        return Ok(found.status());
    }
    let found: Vec<_> = args.files.iter().map(|path| request.read(path)).collect();
    let failures = found.iter().filter_map(|found| found.as_ref().err());
    failures.for_each(output::say_error);
    global.emit(|out| request.write_all(out, &args.files, &found))?;
    let status = |found: &Result<Found>| found.as_ref().map_or(Status::Trouble, Found::status);
    let statuses: Vec<Status> = found.iter().map(status).collect();
    let worst = [Status::Trouble, Status::Findings];
    let worst = worst.into_iter().find(|worst| statuses.contains(worst));
    Ok(worst.unwrap_or(Status::Done))
}

impl Found {
    fn status(&self) -> Status {
        match self.workflow.needs.iter().any(|need| need.is_trouble()) {
            true => Status::Findings,
            false => Status::Done,
        }
    }
}

/// What was asked for.
struct Request<'a> {
    global: &'a Global,
    catalogue: Option<Catalogue>,
}

impl Request<'_> {
    fn read(&self, path: &Path) -> Result<Found> {
        let source = Source::open_or_standard_input(path)?;
        let texts = read_texts(&source)?;
        let pairs = texts.iter().map(|text| (&*text.key, &*text.text));
        let workflow = workflow::read(pairs).map_err(|error| error.in_file(source.name()));
        let mut workflow = workflow?;
        if let Some(catalogue) = &self.catalogue {
            let files = Files::new(self.global, &workflow, catalogue);
            workflow::check(&mut workflow, catalogue, &files, self.global.threads())?;
        }
        Ok(Found {
            path: path.to_string_lossy().into_owned(),
            workflow,
        })
    }

    fn write_one(&self, out: &mut dyn Write, found: &Found) -> io::Result<()> {
        if self.global.format() == Format::Json {
            json::write(out, &Document::new(&found.path, &found.workflow))?;
            return writeln!(out);
        }
        let mut writer = Writer::new(out, self.global.style(), false)?;
        writer.page(&self.page(found))?;
        writer.finish()
    }

    fn page(&self, found: &Found) -> Page {
        match self.global.format() {
            Format::Csv => page::sheet(&found.path, &found.workflow),
            _ => page::page(&found.path, &found.workflow),
        }
    }

    /// Several files: each stands for itself, so a failure does not end the others.
    fn write_all(
        &self,
        out: &mut dyn Write,
        paths: &[PathBuf],
        found: &[Result<Found>],
    ) -> io::Result<()> {
        if self.global.format() == Format::Json {
            return write_array(out, paths, found);
        }
        let mut writer = Writer::new(out, self.global.style(), true)?;
        for (path, found) in paths.iter().zip(found) {
            writer.page(&match found {
                Ok(found) => self.page(found),
                Err(error) => page::failure(&path.to_string_lossy(), error),
            })?;
        }
        writer.finish()
    }
}

fn write_array(out: &mut dyn Write, paths: &[PathBuf], found: &[Result<Found>]) -> io::Result<()> {
    for (index, (path, found)) in paths.iter().zip(found).enumerate() {
        out.write_all(if index == 0 { b"[\n" } else { b",\n" })?;
        match found {
            Ok(found) => json::write(out, &Document::new(&found.path, &found.workflow))?,
            Err(error) => json::write(out, &failure(path, error))?,
        }
    }
    out.write_all(b"\n]\n")
}

fn failure<'a>(path: &'a Path, error: &Error) -> Failure<'a> {
    Failure {
        schema: document::SCHEMA,
        path: path.to_str().unwrap_or_default(),
        error: error.to_string(),
    }
}
