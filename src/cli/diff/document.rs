//! The JSON of `ckpt diff`.

use super::{Args, Found, tables};
use crate::cli::json::{Number, Plain};
use ckpt::op::diff::{Facts, Group, MetadataChange, Metrics, Row, Side, Verdict};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

/// Everything about two checkpoints. Rows are written one by one as they stand.
pub(super) struct Document<'a> {
    pub(super) found: &'a Found,
    pub(super) args: &'a Args,
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Document { found, args } = self;
        let difference = &found.difference;
        let all = args.metadata;
        let mut object = serializer.serialize_struct("Difference", 11)?;
        object.serialize_field("schema", "ckpt.diff/1")?;
        object.serialize_field("a", &SideEntry(&difference.a))?;
        object.serialize_field("b", &SideEntry(&difference.b))?;
        object.serialize_field("same", &found.is_same)?;
        object.serialize_field("summary", &Counts(&found.summary.verdicts))?;
        object.serialize_field("tensors", &List(&difference.rows, RowEntry))?;
        let change = |change| ChangeEntry { change, all };
        object.serialize_field("metadata", &List(&difference.metadata, change))?;
        if args.by.is_some() {
            object.serialize_field("groups", &List(&found.groups, GroupEntry))?;
        }
        object.serialize_field("unreadable", &found.summary.unreadable)?;
        object.serialize_field("structure", &args.structure)?;
        object.serialize_field("assumptions", &difference.assumptions)?;
        object.end()
    }
}

/// A list of which each member is serialized as `entry` says.
struct List<'a, T, F>(&'a [T], F);

impl<'a, T, E: Serialize, F: Fn(&'a T) -> E> Serialize for List<'a, T, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(&self.1))
    }
}

struct SideEntry<'a>(&'a Side);

impl Serialize for SideEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Side", 2)?;
        object.serialize_field("path", &self.0.path)?;
        object.serialize_field("format", self.0.format)?;
        object.end()
    }
}

/// Every verdict with its count, zeros too.
struct Counts<'a>(&'a [(Verdict, usize)]);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.0.len()))?;
        for (verdict, count) in self.0 {
            object.serialize_entry(verdict.name(), count)?;
        }
        object.end()
    }
}

struct FactsEntry<'a>(&'a Facts);

impl Serialize for FactsEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Facts", 2)?;
        object.serialize_field("dtype", &self.0.dtype.to_string())?;
        object.serialize_field("shape", self.0.shape.dimensions())?;
        object.end()
    }
}

struct RowEntry<'a>(&'a Row);

impl Serialize for RowEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.0;
        let verdict = row.verdict.as_ref().ok().map(|verdict| verdict.name());
        let bits = |facts: &Option<Facts>| facts.as_ref().and_then(tables::bits);
        let mut object = serializer.serialize_struct("Row", 18)?;
        object.serialize_field("name", &row.name)?;
        object.serialize_field("verdict", &verdict)?;
        object.serialize_field("a", &row.a.as_ref().map(FactsEntry))?;
        object.serialize_field("b", &row.b.as_ref().map(FactsEntry))?;
        metrics::<S>(&mut object, &row.metrics, true)?;
        object.serialize_field("bits_a", &bits(&row.a))?;
        object.serialize_field("bits_b", &bits(&row.b))?;
        object.serialize_field("both_nan", &row.metrics.both_nan)?;
        object.serialize_field("non_finite", &row.metrics.non_finite)?;
        object.serialize_field("first_non_finite", &row.metrics.first_non_finite)?;
        if let Some(name) = &row.b_name {
            object.serialize_field("name_b", name)?;
        }
        if let Err(error) = &row.verdict {
            object.serialize_field("error", &error.to_string())?;
        }
        object.end()
    }
}

struct GroupEntry<'a>(&'a Group);

impl Serialize for GroupEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let group = self.0;
        let mut object = serializer.serialize_struct("Group", 13)?;
        object.serialize_field("name", &group.name)?;
        object.serialize_field("verdict", &group.verdict.map(Verdict::name))?;
        object.serialize_field("tensors", &group.tensors)?;
        object.serialize_field("identical", &group.identical)?;
        object.serialize_field("elements", &group.elements)?;
        metrics::<S>(&mut object, &group.metrics, false)?;
        object.end()
    }
}

/// The metrics; a group has no place.
fn metrics<S: Serializer>(
    object: &mut S::SerializeStruct,
    metrics: &Metrics,
    has_place: bool,
) -> Result<(), S::Error> {
    let number = |value: Option<f64>| value.map(Number);
    object.serialize_field("changed", &metrics.changed)?;
    object.serialize_field("max_abs", &number(metrics.max_abs))?;
    if has_place {
        object.serialize_field("max_abs_at", &metrics.max_abs_at)?;
    }
    object.serialize_field("mean_abs", &number(metrics.mean_abs))?;
    object.serialize_field("rmse", &number(metrics.rmse))?;
    object.serialize_field("rel_l2", &number(metrics.rel_l2))?;
    object.serialize_field("cosine", &number(metrics.cosine))?;
    object.serialize_field("snr_db", &number(metrics.snr_db))
}

struct ChangeEntry<'a> {
    change: &'a MetadataChange,
    /// Whether long arrays are written out.
    all: bool,
}

impl Serialize for ChangeEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let all = self.all;
        let mut object = serializer.serialize_struct("Change", 3)?;
        object.serialize_field("key", &self.change.key)?;
        object.serialize_field(
            "a",
            &self.change.a.as_ref().map(|value| Plain { value, all }),
        )?;
        object.serialize_field(
            "b",
            &self.change.b.as_ref().map(|value| Plain { value, all }),
        )?;
        object.end()
    }
}
