//! Running a command on one path or several, in any output: what `inspect`, `stats` and their
//! like have in common.

use super::args::{Format, Global};
use super::json::{self, Failure};
use super::{Status, output};
use ckpt::report::{Block, Page, Remark, Severity, Writer};
use ckpt::{Error, Result};
use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A command that finds something out about each path it is given.
pub(crate) trait Report {
    /// What there is to say about one path.
    type Found;

    /// The name and version of its JSON.
    const SCHEMA: &'static str;

    /// Does the work for `path`.
    fn find(&self, path: &Path) -> Result<Self::Found>;

    /// The JSON object.
    fn document<'a>(&'a self, found: &'a Self::Found) -> impl Serialize + 'a;

    /// The same for people.
    fn page(&self, found: &Self::Found) -> Page;

    /// What a single path's page is in place of a table: lines for people and programs alike.
    fn lines(&self, _: &Self::Found) -> Option<String> {
        None
    }

    /// What it comes to as an exit status.
    fn status(&self, found: &Self::Found) -> Status;
}

/// Reports on every path. Several stand each for itself: a failure is an entry, and the others
/// go on.
///
/// Errors: that of a single path, or that of writing.
pub(crate) fn run<R: Report>(report: &R, global: &Global, paths: &[PathBuf]) -> Result<Status> {
    if let [path] = paths {
        let found = report.find(path)?;
        global.emit(|out| write_one(report, global, &found, out))?;
        return Ok(report.status(&found));
    }
    let mut status = Status::Done;
    global.emit(|out| {
        status = match global.format() {
            Format::Json => write_array(report, paths, out)?,
            _ => write_pages(report, global, paths, out)?,
        };
        Ok(())
    })?;
    Ok(status)
}

fn write_one<R: Report>(
    report: &R,
    global: &Global,
    found: &R::Found,
    out: &mut dyn Write,
) -> io::Result<()> {
    if global.format() == Format::Json {
        json::write(out, &report.document(found))?;
        return writeln!(out);
    }
    let lines = report.lines(found);
    if let Some(lines) = lines.filter(|_| global.format() == Format::Table) {
        return out.write_all(lines.as_bytes());
    }
    let mut writer = Writer::new(out, global.style(), false)?;
    writer.page(&report.page(found))?;
    writer.finish()
}

fn write_pages<R: Report>(
    report: &R,
    global: &Global,
    paths: &[PathBuf],
    out: &mut dyn Write,
) -> io::Result<Status> {
    let mut status = Status::Done;
    let mut writer = Writer::new(out, global.style(), true)?;
    for path in paths {
        let page = match report.find(path) {
            Ok(found) => {
                status = status.max(report.status(&found));
                report.page(&found)
            }
            Err(error) => {
                status = Status::Trouble;
                output::say_error(&error);
                failure_page(path, &error)
            }
        };
        writer.page(&page)?;
    }
    writer.finish()?;
    Ok(status)
}

fn write_array<R: Report>(
    report: &R,
    paths: &[PathBuf],
    out: &mut dyn Write,
) -> io::Result<Status> {
    let mut status = Status::Done;
    for (index, path) in paths.iter().enumerate() {
        out.write_all(if index == 0 { b"[\n" } else { b",\n" })?;
        match report.find(path) {
            Ok(found) => {
                status = status.max(report.status(&found));
                json::write(out, &report.document(&found))?;
            }
            Err(error) => {
                status = Status::Trouble;
                output::say_error(&error);
                let failure = Failure {
                    schema: R::SCHEMA,
                    path: &path.to_string_lossy(),
                    error: error.to_string(),
                };
                json::write(out, &failure)?;
            }
        }
    }
    out.write_all(b"\n]\n")?;
    Ok(status)
}

fn failure_page(path: &Path, error: &Error) -> Page {
    let remark = Remark {
        severity: Severity::Error,
        text: error.to_string(),
    };
    Page {
        title: path.to_string_lossy().into_owned(),
        blocks: vec![Block::Remarks(vec![remark])],
    }
}
