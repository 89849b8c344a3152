//! `ckpt workflow`: the model files that a workflow needs, and whether they are there and right.

mod document;
mod library;
mod page;

use super::Status;
use super::args::{Format, Global};
use super::report::{self, Report};
use ckpt::Result;
use ckpt::format::read_texts;
use ckpt::io::Source;
use ckpt::op::workflow::{self, Catalogue, Workflow};
use ckpt::report::Page;
use document::Document;
use library::Files;
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
    report::run(&Request { global, catalogue }, global, &args.files)
}

/// What was asked for.
struct Request<'a> {
    global: &'a Global,
    catalogue: Option<Catalogue>,
}

impl Report for Request<'_> {
    type Found = Found;

    const SCHEMA: &'static str = document::SCHEMA;

    fn find(&self, path: &Path) -> Result<Found> {
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

    fn document<'a>(&'a self, found: &'a Found) -> impl serde::Serialize + 'a {
        Document::new(&found.path, &found.workflow)
    }

    fn page(&self, found: &Found) -> Page {
        match self.global.format() {
            Format::Csv => page::sheet(&found.path, &found.workflow),
            _ => page::page(&found.path, &found.workflow),
        }
    }

    fn status(&self, found: &Found) -> Status {
        match found.workflow.needs.iter().any(|need| need.is_trouble()) {
            true => Status::Findings,
            false => Status::Done,
        }
    }
}
