//! `ckpt prune --component list`: the parts of a checkpoint of which one can be taken by itself.

use super::super::args::{Format, Global};
use ckpt::Result;
use ckpt::op::prune::Part;
use ckpt::report::{Block, Cell, Column, Kind, Page, Table, Writer};
use serde_json::{Value as Json, json};

/// Writes `parts`, those of the checkpoint at `path`.
pub(super) fn list(parts: &[Part], path: &str, global: &Global) -> Result<()> {
    global.emit(|out| {
        if global.format() == Format::Json {
            serde_json::to_writer_pretty(&mut *out, &as_json(parts))?;
            return writeln!(out);
        }
        if parts.is_empty() {
            return writeln!(out, "{}: no parts are known", ckpt::text::escape(path));
        }
        let mut writer = Writer::new(out, global.style(), false)?;
        writer.page(&page(parts, path))?;
        writer.finish()
    })
}

fn as_json(parts: &[Part]) -> Json {
    let parts = parts.iter().map(|part| {
        json!({
            "name": part.name,
            "about": part.about,
            "prefix": part.prefix,
            "tensors": part.tensors,
            "bytes": part.bytes,
        })
    });
    parts.collect()
}

fn page(parts: &[Part], path: &str) -> Page {
    let row = |part: &Part| {
        vec![
            Cell::text(&part.name),
            part.about.map_or(Cell::Empty, Cell::text),
            Cell::text(&part.prefix),
            Cell::Count(part.tensors),
            Cell::Bytes(part.bytes),
        ]
    };
    Page {
        title: path.to_owned(),
        blocks: vec![Block::Table(Table {
            columns: vec![
                Column::new("component", Kind::Name),
                Column::new("is", Kind::Text),
                Column::new("prefix", Kind::Name),
                Column::new("tensors", Kind::Number),
                Column::new("bytes", Kind::Number),
            ],
            rows: parts.iter().map(row).collect(),
        })],
    }
}
