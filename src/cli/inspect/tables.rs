//! The tables of `ckpt inspect`: layers folded, every tensor a row, the tree of names.

use super::Found;
use ckpt::io::Source;
use ckpt::model::{Bytes, Payload, Tensor};
use ckpt::op::inspect::{self, Order};
use ckpt::report::{Cell, Column, Kind, Table};
use ckpt::text::human_count;

/// The file that a tensor lies in.
pub(super) fn source(tensor: &Tensor) -> Option<&Source> {
    let storage = match &tensor.payload {
        Payload::Stored(storage) | Payload::Strided { storage, .. } => storage,
        _ => return None,
    };
    match &storage.bytes {
        Bytes::Extent { source, .. } => Some(source),
        Bytes::Packed { packed, .. } => Some(packed.source()),
        Bytes::Inline(_) => None,
    }
}

pub(super) fn folded(found: &Found) -> Table {
    let tensors = &found.checkpoint.tensors;
    let mut rows = inspect::fold(tensors);
    if found.order == Order::Size {
        rows.sort_by_key(|row| std::cmp::Reverse(row.bytes));
        if found.is_reverse {
            rows.reverse();
        }
    }
    let has_remarks = tensors.iter().any(|tensor| !remark(tensor).is_empty());
    let mut columns = vec![
        Column::new("name", Kind::Name),
        Column::new("count", Kind::Number),
        Column::new("dtype", Kind::Text),
        Column::new("shape", Kind::Text),
        Column::new("bytes", Kind::Number),
    ];
    if has_remarks {
        columns.push(Column::new("remarks", Kind::Text));
    }
    let row = |row: inspect::Row| {
        let first = &tensors[row.first];
        let mut cells = vec![
            Cell::Text(row.name),
            match row.count {
                1 => Cell::Empty,
                count => Cell::Text(format!("x{count}")),
            },
            Cell::Text(row.dtype.to_string()),
            Cell::Text(row.shape.to_string()),
            bytes_cell(row.bytes),
        ];
        if has_remarks {
            cells.push(Cell::Text(match row.count {
                1 => remark(first),
                _ if first.tied_to.is_some() => "tied".to_owned(),
                _ => remark(first),
            }));
        }
        cells
    };
    Table {
        rows: rows.into_iter().map(row).collect(),
        columns,
    }
}

fn bytes_cell(bytes: Option<u64>) -> Cell {
    bytes.map_or_else(|| Cell::text("?"), Cell::Bytes)
}

/// What is unusual about a tensor.
fn remark(tensor: &Tensor) -> String {
    if let Some(name) = &tensor.tied_to {
        return format!("= {name}");
    }
    match &tensor.payload {
        Payload::Stored(_) => String::new(),
        Payload::Strided { strides, .. } => format!("strides {strides:?}"),
        Payload::Sparse { layout, .. } => format!("sparse {layout:?}").to_lowercase(),
        Payload::Lazy { .. } => "conjugate or negative bit".to_owned(),
        Payload::Absent(why) => (*why).to_owned(),
        _ => String::new(),
    }
}

pub(super) fn flat(tensors: &[Tensor]) -> Table {
    let has_remarks = tensors.iter().any(|tensor| !remark(tensor).is_empty());
    let files = tensors.iter().filter_map(source).map(Source::identity);
    let mut files: Vec<usize> = files.collect();
    files.dedup();
    let has_files = files.len() > 1;
    let mut columns = vec![
        Column::new("name", Kind::Name),
        Column::new("dtype", Kind::Text),
        Column::new("shape", Kind::Text),
        Column::new("elements", Kind::Number),
        Column::new("bytes", Kind::Number),
        Column::new("offset", Kind::Number),
    ];
    if has_files {
        columns.push(Column::new("file", Kind::Name));
    }
    if has_remarks {
        columns.push(Column::new("remarks", Kind::Text));
    }
    let row = |tensor: &Tensor| {
        let mut cells = vec![
            Cell::text(&tensor.name),
            Cell::Text(tensor.dtype.to_string()),
            Cell::Text(tensor.shape.to_string()),
            Cell::Count(tensor.elements()),
            bytes_cell(inspect::stored_bytes(tensor)),
            inspect::file_offset(tensor).map_or(Cell::Empty, Cell::Count),
        ];
        if has_files {
            let name = source(tensor).map(Source::name).unwrap_or_default();
            cells.push(Cell::text(name.rsplit('/').next().unwrap_or_default()));
        }
        if has_remarks {
            cells.push(Cell::Text(remark(tensor)));
        }
        cells
    };
    Table {
        rows: tensors.iter().map(row).collect(),
        columns,
    }
}

pub(super) fn tree(tensors: &[Tensor]) -> Table {
    let columns = vec![
        Column::new("name", Kind::Name),
        Column::new("tensors", Kind::Number),
        Column::new("parameters", Kind::Number),
        Column::new("bytes", Kind::Number),
        Column::new("dtype", Kind::Text),
        Column::new("shape", Kind::Text),
    ];
    let row = |branch: inspect::Branch| {
        let mut label = format!("{}{}", "  ".repeat(branch.depth), branch.label);
        if branch.count > 1 {
            label.push_str(&format!("  x{}", branch.count));
        }
        let leaf = branch.leaf.map(|index| &tensors[index]);
        let word = |text: Option<String>| text.map_or(Cell::Empty, Cell::Text);
        vec![
            Cell::Text(label),
            Cell::Count(branch.tensors),
            Cell::Text(human_count(branch.elements)),
            Cell::Bytes(branch.bytes),
            word(leaf.map(|tensor| tensor.dtype.to_string())),
            word(leaf.map(|tensor| tensor.shape.to_string())),
        ]
    };
    Table {
        rows: inspect::tree(tensors).into_iter().map(row).collect(),
        columns,
    }
}
