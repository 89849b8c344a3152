//! How tensors are spread over files: `--max-shard-size`, `--shards` and their orders.

use ckpt::format::{Arrangement, Cut, Order, ShardOrder};
use ckpt::text::parse_size;
use clap::ValueEnum;
use std::num::NonZeroU16;

/// How tensors are spread over files and lie in them.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = super::FILES)]
pub(crate) struct ArrangementArgs {
    /// Split into shards of at most this much data, with an index: `5GB`, `512MiB`
    #[arg(long, value_name = "SIZE", value_parser = size, group = "sharded")]
    max_shard_size: Option<u64>,
    /// Split into so many shards of about equal size, with an index
    #[arg(long, value_name = "N", group = "sharded")]
    shards: Option<NonZeroU16>,
    /// How shards are filled
    #[arg(long, value_name = "HOW", value_enum, requires = "sharded", default_value_t = ShardOrderArg::Source)]
    shard_order: ShardOrderArg,
    /// How tensors lie in a safetensors file; other formats have them as they come
    #[arg(long, value_name = "HOW", value_enum, default_value_t = OrderArg::Official)]
    order: OrderArg,
}

/// What `--shard-order` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShardOrderArg {
    /// As the tensors come
    Source,
    /// Embeddings, layer by layer, the rest; no layer in two shards if it fits into one
    Layer,
    /// The fewest shards, of sizes as even as can be
    Balanced,
}

/// What `--order` takes.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum OrderArg {
    /// The official writer's: widest dtypes first, then by name
    Official,
    /// As the tensors come
    Source,
}

/// Reads a size that is not 0.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let size = parse_size(text).filter(|size| *size > 0);
    size.ok_or_else(|| "not a size such as `5GB`, `512MiB` or `1000`".to_owned())
}

impl ArrangementArgs {
    pub(super) fn arrangement(&self) -> Arrangement {
        Arrangement {
            cut: match (self.max_shard_size, self.shards) {
                (Some(limit), _) => Cut::AtMost(limit),
                (None, Some(count)) => Cut::Into(count.get().into()),
                (None, None) => Cut::Whole,
            },
            shard_order: match self.shard_order {
                ShardOrderArg::Source => ShardOrder::Source,
                ShardOrderArg::Layer => ShardOrder::Layer,
                ShardOrderArg::Balanced => ShardOrder::Balanced,
            },
            order: match self.order {
                OrderArg::Official => Order::Official,
                OrderArg::Source => Order::Source,
            },
        }
    }
}
