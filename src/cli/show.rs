//! `ckpt show`: the values of one tensor.

use super::Status;
use super::args::{Format, Global};
use super::json::{self, Number};
use ckpt::format;
use ckpt::model::Tensor;
use ckpt::op::show::{self, Extent, Numbers, Precision, Shown};
use ckpt::report::{Block, Page, Writer};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};
use std::path::PathBuf;

/// The arguments of `ckpt show`.
#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:
  ckpt show model.safetensors lm_head.weight                   the corners, as numpy prints them
  ckpt show model.pt conv1.weight --slice 0,:,::2              a slice, as numpy writes it
  ckpt show model.gguf blk.0.attn_q.weight --slice -1,:8       quantised blocks as numbers
  ckpt show array.npy --full                                   all values
  ckpt show model.pt fc.bias --slice :3 --json | jq .values

Floats of eight bits and less, GGUF blocks and quantised tensors are shown as the F32 numbers
that they stand for. Only what is shown is read.")]
pub(crate) struct Args {
    /// A file, an index or a folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The tensor's name; the root's prefix may be left out, and the name if there is only one
    #[arg(value_name = "TENSOR")]
    tensor: Option<String>,
    /// Which values, as numpy writes it: `0:4,:8`, `-1`, `::2`, `...,0`
    #[arg(short, long, value_name = "SLICE", allow_hyphen_values = true)]
    slice: Option<String>,
    /// All values, however many
    #[arg(long)]
    full: bool,
}

pub(crate) fn run(args: &Args, global: &Global) -> ckpt::Result<Status> {
    global.require_format(
        "show",
        &[Format::Table, Format::Json, Format::Markdown, Format::Html],
    )?;
    let checkpoint = format::open(&args.path)?;
    let in_file = |error: ckpt::Error| error.in_file(&checkpoint.path);
    let tensor = show::find(&checkpoint, args.tensor.as_deref()).map_err(in_file)?;
    let is_json = global.format() == Format::Json;
    let extent = match args.full || is_json {
        true => Extent::Full,
        false => Extent::Summary,
    };
    let shown = show::show(tensor, args.slice.as_deref(), extent).map_err(in_file)?;
    global.emit(|out| {
        if is_json {
            json::write(out, &Document::new(&checkpoint.path, tensor, args, &shown))?;
            return writeln!(out);
        }
        let page = Page {
            title: header(tensor, args, &shown),
            blocks: vec![Block::Text(show::print(&shown))],
        };
        let mut writer = Writer::new(out, global.style(), false)?;
        writer.page(&page)?;
        writer.finish()
    })?;
    Ok(Status::Done)
}

/// `name[0:4,:8]  F32 [4, 8] of [512, 64]`.
fn header(tensor: &Tensor, args: &Args, shown: &Shown) -> String {
    let Tensor { dtype, shape, .. } = tensor;
    match args.slice.as_deref().map(str::trim) {
        None | Some("") => format!("{}  {dtype} {shape}", tensor.name),
        Some(slice) => {
            let slice = slice.trim_start_matches('[').trim_end_matches(']');
            let name = &tensor.name;
            format!("{name}[{slice}]  {dtype} {:?} of {shape}", shown.shape)
        }
    }
}

/// The JSON of `ckpt show`.
#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    path: &'a str,
    tensor: &'a str,
    dtype: String,
    shape: &'a [u64],
    slice: Option<&'a str>,
    values: Nested<'a>,
}

impl<'a> Document<'a> {
    fn new(path: &'a str, tensor: &'a Tensor, args: &'a Args, shown: &'a Shown) -> Document<'a> {
        Document {
            schema: "ckpt.show/1",
            path,
            tensor: &tensor.name,
            dtype: tensor.dtype.to_string(),
            shape: tensor.shape.dimensions(),
            slice: args.slice.as_deref(),
            values: Nested {
                shape: &shown.shape,
                numbers: &shown.numbers,
                first: 0,
            },
        }
    }
}

/// Values as lists in lists, one level a dimension; a complex number is `[real, imaginary]`.
struct Nested<'a> {
    shape: &'a [u64],
    numbers: &'a Numbers,
    first: u64,
}

impl Serialize for Nested<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Some((&count, inner)) = self.shape.split_first() else {
            let index = usize::try_from(self.first).unwrap_or(usize::MAX);
            return serialize_number(self.numbers, index, serializer);
        };
        let step: u64 = inner.iter().product();
        let mut list = serializer.serialize_seq(None)?;
        for position in 0..count {
            list.serialize_element(&Nested {
                shape: inner,
                numbers: self.numbers,
                first: self.first + position * step,
            })?;
        }
        list.end()
    }
}

fn serialize_number<S: Serializer>(
    numbers: &Numbers,
    index: usize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match numbers {
        Numbers::Bool(values) => values.get(index).serialize(serializer),
        Numbers::Integer(values) => values.get(index).serialize(serializer),
        Numbers::Float(values, precision) => values
            .get(index)
            .map(|value| Exact(*value, *precision))
            .serialize(serializer),
        Numbers::Complex(values, precision) => values
            .get(index)
            .map(|value| value.map(|part| Exact(part, *precision)))
            .serialize(serializer),
    }
}

/// A float in as many digits as its own type needs.
struct Exact(f64, Precision);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.1 {
            Precision::F64 => Number(self.0).serialize(serializer),
            _ if !self.0.is_finite() => Number(self.0).serialize(serializer),
            _ => serializer.serialize_f32(self.0 as f32),
        }
    }
}
