//! Where results and messages go: standard output or a file, and standard error.

use super::args::{Color, Format, Global};
use ckpt::io::{Sink, SinkOptions};
use ckpt::model::{Checkpoint, Level, Note};
use ckpt::op::root::{self, Choice, LeftOut};
use ckpt::report::Style;
use ckpt::text::{escape, human_bytes};
use ckpt::{Error, Result};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::path::Path;

/// Bytes that are collected before they are written.
const BUFFER: usize = 64 << 10;

impl Global {
    /// How the result is drawn, for a format other than JSON.
    pub(crate) fn style(&self) -> Style {
        match self.format() {
            Format::Csv => Style::Csv,
            Format::Markdown => Style::Markdown,
            Format::Html => Style::Html,
            Format::Table | Format::Json | Format::Sarif => Style::Text {
                width: self.width(),
                color: self.wants_color(),
            },
        }
    }

    /// Columns of the terminal, or what `COLUMNS` says; `None` where there is no terminal.
    fn width(&self) -> Option<usize> {
        let asked = std::env::var("COLUMNS").ok();
        let asked = asked.and_then(|columns| columns.parse().ok());
        asked.filter(|&columns| columns > 0).or_else(|| {
            let columns = comfy_table::Table::new().width()?;
            self.is_on_terminal().then_some(usize::from(columns))
        })
    }

    fn wants_color(&self) -> bool {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                self.is_on_terminal() && !is_set("NO_COLOR") && !is_dumb
            }
        }
    }

    fn is_on_terminal(&self) -> bool {
        self.output.is_none() && io::stdout().is_terminal()
    }

    /// Writes a result where `--output` says: to standard output, or to a file that appears
    /// whole or not at all.
    pub(crate) fn emit(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        match self.output.as_deref() {
            None => to_standard_output(write),
            Some(path) if path == Path::new("-") => to_standard_output(write),
            Some(path) if is_device(path) => to_device(path, write),
            Some(path) => self.to_file(path, write),
        }
    }

    fn to_file(
        &self,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let options = SinkOptions {
            replace: self.force,
            sync: true,
        };
        let sink = Sink::create(path, options)?;
        let mut out = BufWriter::with_capacity(BUFFER, SinkWriter { sink, offset: 0 });
        let written = write(&mut out).and_then(|()| out.flush());
        written.map_err(|e| Error::io("cannot write", e).in_file(&path.to_string_lossy()))?;
        let writer = out
            .into_inner()
            .map_err(|e| Error::io("cannot write", e.into_error()))?;
        writer.sink.finish()
    }

    /// Says something on standard error, unless `--quiet`.
    pub(crate) fn say(&self, text: &str) {
        if !self.quiet {
            say(&format!("ckpt: {}", escape(text)));
        }
    }

    /// Says what a reader noticed about `path`, from `level` upwards.
    pub(crate) fn say_notes(&self, path: &str, notes: &[Note], level: Level) {
        for note in notes.iter().filter(|note| note.level >= level) {
            self.say(&format!("{path}: {}: {}", note.level.name(), note.text));
        }
    }

    /// The root of `checkpoint` that `choice` names; says what stands beside it, and what its
    /// reader warned of.
    pub(crate) fn restrict(&self, checkpoint: Checkpoint, choice: &Choice) -> Result<Checkpoint> {
        let rooted = root::restrict(checkpoint, choice)?;
        let checkpoint = rooted.checkpoint;
        let root = checkpoint.root.as_deref().unwrap_or_default();
        self.say_left_out(&checkpoint.path, root, &rooted.left_out);
        self.say_notes(&checkpoint.path, &checkpoint.notes, Level::Warning);
        Ok(checkpoint)
    }

    /// Says what stands beside the root of `path`.
    pub(crate) fn say_left_out(&self, path: &str, root: &str, left_out: &LeftOut) {
        if left_out.is_empty() {
            return;
        }
        const SHOWN: usize = 8;
        let mut keys: Vec<String> = left_out.keys.iter().take(SHOWN).cloned().collect();
        if left_out.keys.len() > SHOWN {
            keys.push(format!("{} more", left_out.keys.len() - SHOWN));
        }
        let what = match left_out.tensors {
            0 => "no tensors".to_owned(),
            1 => format!("1 tensor, {}", human_bytes(left_out.bytes)),
            count => format!("{count} tensors, {}", human_bytes(left_out.bytes)),
        };
        self.say(&format!(
            "{path}: only `{root}` is taken; left out: {} ({what}); `--root ''` takes everything",
            keys.join(", ")
        ));
    }
}

/// Prints an error and its hint on standard error.
pub(crate) fn say_error(error: &Error) {
    say(&format!("ckpt: {error}"));
    if let Some(hint) = error.hint() {
        say(&format!("hint: {}", escape(hint)));
    }
}

/// Standard error may be closed; nobody is left to tell.
fn say(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// Whether the reader of our output has gone away, which is its right.
pub(crate) fn is_broken_pipe(error: &Error) -> bool {
    error.io_kind() == Some(ErrorKind::BrokenPipe)
}

fn to_standard_output(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    finish(&mut out, write).map_err(|e| Error::io("cannot write to standard output", e))
}

/// Whether something stands at `path` that has no content to be replaced: `/dev/null`, a pipe.
fn is_device(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

fn to_device(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = |e| Error::io("cannot write", e).in_file(&path.to_string_lossy());
    let file = std::fs::File::options()
        .write(true)
        .open(path)
        .map_err(failed)?;
    finish(&mut BufWriter::with_capacity(BUFFER, file), write).map_err(failed)
}

fn finish<W: Write>(
    out: &mut BufWriter<W>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    write(out)?;
    out.flush()
}

/// Appends to a sink.
struct SinkWriter {
    sink: Sink,
    offset: u64,
}

impl Write for SinkWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sink
            .write_all_at(self.offset, bytes)
            .map_err(|e| io::Error::new(e.io_kind().unwrap_or(ErrorKind::Other), e))?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
