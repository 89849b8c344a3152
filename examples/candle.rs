//! Opens a checkpoint of any format and computes with it in candle.
//!
//!     cargo run --example candle -- model.gguf

#![allow(clippy::print_stdout)]

use candle_core::{DType, Device, Result, Tensor};
use std::path::PathBuf;

/// Shipped with the library: the `state_dict` of a small network, saved by PyTorch.
const DEFAULT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/testdata/pytorch/state_dict.pt"
);

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let path = PathBuf::from(std::env::args().nth(1).unwrap_or(DEFAULT.to_owned()));
    let checkpoint = ckpt::format::open(&path)?;
    println!("{}: {}", path.display(), checkpoint.format);

    let device = Device::Cpu;
    let mut matrix = None;
    for tensor in &checkpoint.tensors {
        // One at a time: a model larger than memory can be walked through like this.
        let loaded = match ckpt::candle::to_candle(tensor, &device) {
            Ok(loaded) => loaded,
            Err(error) => {
                println!("left out: {error}");
                continue;
            }
        };
        let norm = norm(&loaded)?;
        println!(
            "{:<40} {:<8} {:<16} norm {norm:.4}",
            tensor.name, tensor.dtype, tensor.shape
        );
        if loaded.rank() == 2 && matrix.is_none() {
            matrix = Some((tensor.name.clone(), loaded));
        }
    }
    if let Some((name, matrix)) = matrix {
        let product = rows_times_ones(&matrix)?;
        println!("ones times the transpose of {name}: {product:?}");
    }
    Ok(())
}

/// The Euclidean norm.
fn norm(tensor: &Tensor) -> Result<f64> {
    let squares = tensor.to_dtype(DType::F64)?.sqr()?;
    squares.sum_all()?.sqrt()?.to_scalar()
}

/// What a linear layer of these weights makes of a row of ones; the first few numbers.
fn rows_times_ones(matrix: &Tensor) -> Result<Vec<f32>> {
    let matrix = matrix.to_dtype(DType::F32)?;
    let (rows, columns) = matrix.dims2()?;
    let ones = Tensor::ones((1, columns), DType::F32, matrix.device())?;
    let product = ones.matmul(&matrix.t()?)?.flatten_all()?;
    product.narrow(0, 0, rows.min(4))?.to_vec1()
}
