//! Tar archives of PyTorch 0.1.9 and before.
//!
//! | member | what |
//! |---|---|
//! | `storages` | how many, then for each a pickled `(key, location, class)`, elements (i64), the elements; then a pickled list of views `(key, root key, offset, elements)` |
//! | `tensors` | how many, then for each a pickled `(key, storage key, class)`, dimensions (i32), 4 bytes, sizes, strides, offset (i64) |
//! | `pickle` | the object; persistent ids are keys of the above |
//!
//! Source: torch/serialization.py (`legacy_load`).

use super::legacy::items;
use super::rebuild::{Built, view_of, whole_storage};
use super::storage::{Place, StorageRef, Storages, Unpickled, storage_dtype};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::io::archive::Archive;
use crate::io::{ByteOrder, Cursor, Source};
use crate::limits;
use crate::model::{Bytes, Shape};
use crate::pickle::{self, Graph, Item};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Whether a tar holds what PyTorch wrote.
pub(super) fn detect(source: &Source) -> bool {
    Archive::read_tar(source).is_ok_and(|archive| {
        ["storages", "tensors", "pickle"]
            .iter()
            .all(|name| archive.find(name).is_some())
    })
}

/// Reads a tar.
pub(super) fn read(source: &Source) -> Result<Unpickled> {
    let archive = Archive::read_tar(source)?;
    let open = |name: &str| -> Result<Source> {
        let member = archive.find(name);
        let member = member.ok_or_else(|| Error::malformed(format!("holds no `{name}`")))?;
        archive.open(member)
    };
    let storages = read_storages(&open("storages")?).map_err(|e| e.in_member("storages"))?;
    let mut tensors =
        read_tensors(&open("tensors")?, &storages).map_err(|e| e.in_member("tensors"))?;
    // Storages may be named as well; of equal keys torch keeps the tensor.
    for (key, (bytes, dtype)) in storages {
        if let Entry::Vacant(vacant) = tensors.entry(key) {
            vacant.insert(whole_storage(storage_ref(bytes, dtype))?);
        }
    }
    let main = open("pickle")?;
    let pickle = pickle::read(&main, 0).map_err(|error| error.in_member("pickle"))?;
    Ok(Unpickled {
        graph: pickle.graph,
        root: pickle.root,
        source: main,
        storages: Storages::new(Place::Nowhere, ByteOrder::Little),
        tensors: Some(tensors),
        nesting: 0,
    })
}

fn key_of(graph: &Graph, item: Item) -> Result<String> {
    let number = graph.int(item).map(|key| key.to_string());
    let key = number.or_else(|| graph.text(item).map(|key| key.into_owned()));
    key.ok_or_else(|| Error::malformed("a key is neither a number nor a string"))
}

/// How many of something a pickle announces.
fn count(source: &Source) -> Result<(u64, u64)> {
    let pickle = pickle::read(source, 0)?;
    let found = pickle.graph.int(pickle.root);
    let found = found.and_then(|found| u64::try_from(found).ok());
    match found {
        Some(found) if found <= limits::TENSORS => Ok((found, pickle.end)),
        _ => Err(Error::malformed("announces no number that makes sense")),
    }
}

fn read_storages(source: &Source) -> Result<HashMap<String, (Bytes, DType)>> {
    let (count, mut position) = count(source)?;
    let mut storages = HashMap::new();
    for _ in 0..count {
        let header = pickle::read(source, position)?;
        let &[key, _, class] = items(&header) else {
            return Err(Error::malformed("a storage lacks its description"));
        };
        let dtype = storage_dtype(&header.graph, class)?.unwrap_or(DType::U8);
        let mut cursor = Cursor::new(source, header.end);
        let elements = cursor.u64()?;
        let len = dtype.byte_len(elements);
        let len = len.ok_or_else(|| cursor.malformed("a storage is too large"))?;
        let offset = cursor.position();
        cursor.skip(len)?;
        position = cursor.position();
        let run = Bytes::Extent {
            source: source.clone(),
            offset,
            len,
        };
        storages.insert(key_of(&header.graph, key)?, (run, dtype));
    }
    let views = pickle::read(source, position)?;
    for &view in items(&views) {
        let Some(&[key, root, offset, elements]) = views.graph.sequence(view) else {
            return Err(Error::malformed(
                "a view of a storage lacks its description",
            ));
        };
        let root = key_of(&views.graph, root)?;
        let number = |item| views.graph.int(item).and_then(|n| u64::try_from(n).ok());
        let part = storages.get(&root).and_then(|(bytes, dtype)| {
            let start = dtype.byte_len(number(offset)?)?;
            let len = dtype.byte_len(number(elements)?)?;
            Some((bytes.part(start, len)?, *dtype))
        });
        let part =
            part.ok_or_else(|| Error::malformed(format!("a view leaves the storage `{root}`")))?;
        storages.insert(key_of(&views.graph, key)?, part);
    }
    Ok(storages)
}

fn storage_ref(bytes: Bytes, dtype: DType) -> StorageRef {
    StorageRef {
        bytes: Some(bytes),
        order: ByteOrder::Little,
        dtype: Some(dtype),
    }
}

fn read_tensors(
    source: &Source,
    storages: &HashMap<String, (Bytes, DType)>,
) -> Result<HashMap<String, Built>> {
    let (count, mut position) = count(source)?;
    let mut tensors = HashMap::new();
    for _ in 0..count {
        let header = pickle::read(source, position)?;
        let &[key, storage, _] = items(&header) else {
            return Err(Error::malformed("a tensor lacks its description"));
        };
        let storage = key_of(&header.graph, storage)?;
        let mut cursor = Cursor::new(source, header.end);
        let rank = cursor.i32()?;
        cursor.skip(4)?;
        let rank = usize::try_from(rank)
            .ok()
            .filter(|&rank| rank <= limits::DIMENSIONS);
        let rank = rank.ok_or_else(|| cursor.malformed("a tensor has no rank that makes sense"))?;
        let mut numbers = Vec::with_capacity(rank);
        for _ in 0..rank.saturating_mul(2) {
            numbers.push(cursor.u64()?);
        }
        let first = cursor.u64()?;
        position = cursor.position();
        let (sizes, strides) = numbers.split_at(rank);
        let (bytes, dtype) = storages
            .get(&storage)
            .ok_or_else(|| Error::malformed(format!("storage `{storage}` is not in the file")))?;
        let storage = storage_ref(bytes.clone(), *dtype);
        let shape = Shape::new(sizes)?;
        let built = view_of(storage, first, shape, strides.to_vec(), None)?;
        tensors.insert(key_of(&header.graph, key)?, built);
    }
    Ok(tensors)
}
