//! The JSON of `ckpt stats`.

use crate::cli::json;
use ckpt::DType;
use ckpt::op::sparsity::{Count, Found, Pattern};
use ckpt::op::stats::{Measures, Number, Outcome, Row, Stats};
use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Serialize, Serializer};

/// The name and version of the layout.
pub(crate) const SCHEMA: &str = "ckpt.stats/1";

/// Everything about one checkpoint. Rows are written one by one as they stand.
#[derive(Serialize)]
pub(crate) struct Document<'a> {
    schema: &'static str,
    path: &'a str,
    format: &'a str,
    tensors: Rows<'a>,
    totals: TotalsEntry,
}

#[derive(Serialize)]
struct TotalsEntry {
    tensors: u64,
    elements: u64,
    bytes: u64,
    zeros: u64,
    nans: u64,
    infs: u64,
    lossless: Lossless,
}

/// What `convert --dtype auto` would do.
#[derive(Serialize)]
struct Lossless {
    tensors: u64,
    bytes: u64,
    saves: u64,
}

impl<'a> Document<'a> {
    /// `quantiles`: those that were asked for, in the order of the rows' lists.
    /// `patterns`: likewise, of the groups that were counted.
    pub(crate) fn new(
        stats: &'a Stats,
        quantiles: &'a [f64],
        patterns: &'a [Pattern],
    ) -> Document<'a> {
        let totals = stats.totals;
        Document {
            schema: SCHEMA,
            path: &stats.path,
            format: stats.format,
            tensors: Rows {
                rows: &stats.rows,
                quantiles,
                patterns,
            },
            totals: TotalsEntry {
                tensors: totals.tensors,
                elements: totals.elements,
                bytes: totals.bytes,
                zeros: totals.zeros,
                nans: totals.nans,
                infs: totals.infs,
                lossless: Lossless {
                    tensors: totals.lossless,
                    bytes: totals.lossless_bytes,
                    saves: totals.lossless_saves,
                },
            },
        }
    }
}

struct Rows<'a> {
    rows: &'a [Row],
    quantiles: &'a [f64],
    patterns: &'a [Pattern],
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (quantiles, patterns) = (self.quantiles, self.patterns);
        let entry = |row| RowEntry {
            row,
            quantiles,
            patterns,
        };
        serializer.collect_seq(self.rows.iter().map(entry))
    }
}

struct RowEntry<'a> {
    row: &'a Row,
    quantiles: &'a [f64],
    patterns: &'a [Pattern],
}

impl Serialize for RowEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let row = self.row;
        let found = row.measures();
        let float = |value: Option<f64>| value.map(json::Number);
        let count = |count: fn(&Measures) -> u64| found.map(count);
        let mut object = serializer.serialize_struct("Row", 17)?;
        object.serialize_field("name", &row.name)?;
        object.serialize_field("dtype", &row.dtype.map(|dtype| dtype.to_string()))?;
        object.serialize_field("shape", &row.shape.as_ref().map(|shape| shape.dimensions()))?;
        object.serialize_field("elements", &row.elements)?;
        object.serialize_field("min", &found.and_then(Measures::min).map(Exact))?;
        object.serialize_field("max", &found.and_then(Measures::max).map(Exact))?;
        object.serialize_field("mean", &float(found.and_then(Measures::mean)))?;
        object.serialize_field("std", &float(found.and_then(Measures::std)))?;
        object.serialize_field("abs_max", &found.and_then(Measures::abs_max).map(Exact))?;
        object.serialize_field("l1", &float(found.and_then(|found| found.moments.l1())))?;
        object.serialize_field("l2", &float(found.and_then(|found| found.moments.l2())))?;
        object.serialize_field("zeros", &count(|found| found.moments.zeros))?;
        object.serialize_field("nans", &count(|found| found.moments.nans))?;
        object.serialize_field("infs", &count(|found| found.moments.infs))?;
        let first = found.and_then(|found| found.moments.first_nonfinite);
        object.serialize_field("first_nonfinite", &first)?;
        if !self.quantiles.is_empty() {
            let values = found.map(|found| found.quantiles.as_slice());
            let at = self.quantiles;
            object.serialize_field("quantiles", &Quantiles { at, values })?;
        }
        if let Some(found) = found.filter(|found| !found.histogram.is_empty()) {
            object.serialize_field("histogram", &HistogramEntry::new(found))?;
        }
        let lossless = row.lossless();
        let names = lossless.map(|held| held.iter().map(DType::to_string).collect::<Vec<_>>());
        object.serialize_field("lossless", &names)?;
        if !self.patterns.is_empty() {
            let found = row.sparsity.as_ref();
            let sparsity = found.map(|found| SparsityEntry::new(found, self.patterns));
            object.serialize_field("sparsity", &sparsity)?;
        }
        if row.shape.is_none() {
            object.serialize_field("tensors", &row.tensors)?;
        }
        if let Some(name) = &row.tied_to {
            object.serialize_field("tied_to", name)?;
        }
        match &row.outcome {
            Outcome::Measured(_) => {}
            Outcome::Absent(why) => object.serialize_field("note", why)?,
            Outcome::Failed(why) => object.serialize_field("error", why)?,
        }
        object.end()
    }
}

/// `{"0.01": value, ...}`; values that do not exist are null.
struct Quantiles<'a> {
    at: &'a [f64],
    values: Option<&'a [f64]>,
}

impl Serialize for Quantiles<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.at.len()))?;
        for (index, at) in self.at.iter().enumerate() {
            let value = self.values.and_then(|values| values.get(index));
            object.serialize_entry(&at.to_string(), &value.copied().map(json::Number))?;
        }
        object.end()
    }
}

/// Counts of zeros: `{"zero_rows": 1, "rows": 8, ...}`; null where there are none to count.
#[derive(Serialize)]
struct SparsityEntry<'a> {
    zero_rows: Option<u64>,
    rows: Option<u64>,
    zero_channels: Option<u64>,
    channels: Option<u64>,
    groups: Groups<'a>,
}

/// `{"2:4": {"groups": 12, "conforming": 12}, ...}`; null where groups do not divide the rows.
struct Groups<'a>(&'a [Pattern], &'a [Option<Count>]);

#[derive(Serialize)]
struct GroupEntry {
    groups: u64,
    conforming: u64,
}

impl<'a> SparsityEntry<'a> {
    fn new(found: &'a Found, patterns: &'a [Pattern]) -> SparsityEntry<'a> {
        SparsityEntry {
            zero_rows: found.rows.map(|count| count.of),
            rows: found.rows.map(|count| count.all),
            zero_channels: found.channels.map(|count| count.of),
            channels: found.channels.map(|count| count.all),
            groups: Groups(patterns, &found.groups),
        }
    }
}

impl Serialize for Groups<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.iter().zip(self.1).map(|(pattern, count)| {
            let entry = count.map(|count| GroupEntry {
                groups: count.all,
                conforming: count.of,
            });
            (pattern.to_string(), entry)
        });
        serializer.collect_map(entries)
    }
}

/// Bins of equal width from `min` to `max`; of magnitudes for complex elements.
#[derive(Serialize)]
struct HistogramEntry<'a> {
    min: json::Number,
    max: json::Number,
    counts: &'a [u64],
}

impl<'a> HistogramEntry<'a> {
    fn new(found: &'a Measures) -> HistogramEntry<'a> {
        HistogramEntry {
            min: json::Number(found.moments.min),
            max: json::Number(found.moments.max),
            counts: &found.histogram,
        }
    }
}

/// An integer with all of its digits, or a float.
struct Exact(Number);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Number::Float(value) => json::Number(value).serialize(serializer),
            Number::Integer(value) => match (i64::try_from(value), u64::try_from(value)) {
                (Ok(value), _) => serializer.serialize_i64(value),
                (_, Ok(value)) => serializer.serialize_u64(value),
                _ => serializer.serialize_f64(value as f64),
            },
        }
    }
}
