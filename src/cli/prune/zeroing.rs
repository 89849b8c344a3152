//! What `ckpt prune` zeroes: arguments, and the report.

use ckpt::model::Checkpoint;
use ckpt::op::prune::zero::{How, Norm, Zeroed, Zeroing};
use ckpt::report::{Block, Cell, Column, Kind, Page, Table};
use ckpt::{Error, Result};
use clap::ValueEnum;
use serde_json::{Value as Json, json};

/// What is zeroed.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Zeroing (norms, biases and embeddings are left alone unless named)")]
pub(crate) struct ZeroingArgs {
    /// Zero this share of each tensor, 0 to 1: the smallest magnitudes
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    sparsity: Option<f64>,
    /// With `--sparsity`: the share of all tensors together
    #[arg(long, requires = "sparsity")]
    global: bool,
    /// Keep N of each M neighbours along the input dimension, the innermost of `[out, in]`; the
    /// others are zeroed (2:4 as NVIDIA's sparse tensor cores want it)
    #[arg(long, value_name = "N:M", conflicts_with = "sparsity")]
    structured: Option<String>,
    /// Zero this share of the rows, the outputs of a layer: those of the smallest norm
    #[arg(long, value_name = "SHARE", conflicts_with_all = ["sparsity", "structured"], group = "slices", allow_negative_numbers = true)]
    rows: Option<f64>,
    /// Zero this share of the channels, the inputs of a layer (axis 1)
    #[arg(long, value_name = "SHARE", conflicts_with_all = ["sparsity", "structured"], group = "slices", allow_negative_numbers = true)]
    channels: Option<f64>,
    /// The norm for `--rows` and `--channels`
    #[arg(long, value_name = "NORM", value_enum, default_value_t = NormArg::L2, requires = "slices")]
    norm: NormArg,
    /// Only tensors whose name matches, whatever they are; repeatable
    #[arg(long, value_name = "GLOB")]
    zero: Vec<String>,
    /// A share for the tensors whose name matches; the first that matches counts; repeatable
    #[arg(long, value_name = "GLOB=SHARE")]
    sparsity_for: Vec<String>,
}

/// What `--norm` takes.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum NormArg {
    /// Sum of magnitudes
    L1,
    /// Root of the sum of squares
    #[default]
    L2,
    /// Largest magnitude
    Max,
}

impl ZeroingArgs {
    /// What they ask for.
    pub(crate) fn zeroing(&self) -> Result<Zeroing> {
        let norm = match self.norm {
            NormArg::L1 => Norm::L1,
            NormArg::L2 => Norm::L2,
            NormArg::Max => Norm::Max,
        };
        let slices = |axis, ratio| How::Slices { axis, ratio, norm };
        let how = match (self.sparsity, &self.structured, self.rows, self.channels) {
            (Some(ratio), ..) if self.global => Some(How::Global(ratio)),
            (Some(ratio), ..) => Some(How::Each(ratio)),
            (_, Some(text), ..) => Some(groups(text)?),
            (_, _, Some(ratio), _) => Some(slices(0, ratio)),
            (_, _, _, Some(ratio)) => Some(slices(1, ratio)),
            _ => None,
        };
        let ratios = self.sparsity_for.iter().map(|text| ratio_for(text));
        let zeroing = Zeroing {
            how,
            tensors: self.zero.clone(),
            ratios: ratios.collect::<Result<_>>()?,
        };
        zeroing.check()?;
        if zeroing.is_nothing() && !zeroing.tensors.is_empty() {
            return Err(Error::usage("`--zero` needs to know how much")
                .with_hint("`--sparsity 0.5`, `--structured 2:4`, `--rows 0.25`"));
        }
        Ok(zeroing)
    }
}

fn groups(text: &str) -> Result<How> {
    let read = || {
        let (kept, of) = text.split_once(':')?;
        Some(How::Groups {
            kept: kept.parse().ok()?,
            of: of.parse().ok()?,
        })
    };
    read().ok_or_else(|| Error::usage(format!("`--structured {text}` is not like `2:4`")))
}

fn ratio_for(text: &str) -> Result<(String, f64)> {
    let read = || {
        let (pattern, ratio) = text.rsplit_once('=')?;
        Some((pattern.to_owned(), ratio.parse().ok()?))
    };
    read().ok_or_else(|| Error::usage(format!("`--sparsity-for {text}` is not like `GLOB=0.5`")))
}

/// About how many bytes are read to find what is zeroed: for the progress bar.
pub(crate) fn bytes_to_read(checkpoint: &Checkpoint, zeroing: &Zeroing) -> u64 {
    let bytes = checkpoint.totals().1;
    match zeroing.how {
        _ if zeroing.is_nothing() => 0,
        Some(How::Global(_)) => bytes.saturating_mul(3),
        Some(How::Each(_)) | None => bytes.saturating_mul(2),
        _ => bytes,
    }
}

/// What was done, for programs.
pub(crate) fn json(zeroed: &[Zeroed]) -> Json {
    let tensors = zeroed.iter().map(|tensor| {
        json!({
            "name": tensor.source,
            "elements": tensor.elements,
            "zeros_before": tensor.zeros_before,
            "zeros_after": tensor.zeros_after,
            "norm_kept": tensor.norm_kept,
            "groups": tensor.groups.map(|(groups, _)| groups),
            "conforming": tensor.groups.map(|(_, conforming)| conforming),
        })
    });
    tensors.collect()
}

/// What was done, for people.
pub(crate) fn page(source: &str, zeroed: &[Zeroed]) -> Option<Page> {
    if zeroed.is_empty() {
        return None;
    }
    let has_groups = zeroed.iter().any(|tensor| tensor.groups.is_some());
    let titles = [
        "elements",
        "zeros",
        "zeros after",
        "L2 kept",
        "groups conform",
    ];
    let titles = &titles[..titles.len() - usize::from(!has_groups)];
    let mut columns = vec![Column::new("name", Kind::Name)];
    columns.extend(titles.iter().map(|title| Column::new(*title, Kind::Number)));
    let percent = |share: f64| Cell::text(format!("{:.2} %", 100.0 * share));
    let share = |part: u64, of: u64| percent(part as f64 / of.max(1) as f64);
    let row = |tensor: &Zeroed| {
        let mut row = vec![
            Cell::text(&tensor.source),
            Cell::Count(tensor.elements),
            share(tensor.zeros_before, tensor.elements),
            share(tensor.zeros_after, tensor.elements),
            percent(tensor.norm_kept),
        ];
        if has_groups {
            let groups = tensor.groups.map(|(all, conform)| share(conform, all));
            row.push(groups.unwrap_or(Cell::Empty));
        }
        row
    };
    Some(Page {
        title: source.to_owned(),
        blocks: vec![Block::Table(Table {
            columns,
            rows: zeroed.iter().map(row).collect(),
        })],
    })
}
