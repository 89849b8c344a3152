//! Opening headers: formats by number of tensors. No tensor data is read.
#![allow(clippy::unwrap_used, missing_docs)]

use ckpt::format::{self, ReadOptions};
use ckpt::io::Source;
use divan::Bencher;
use divan::counter::ItemsCount;

fn main() {
    divan::main();
}

/// A header that lists `count` tensors of one value each.
fn safetensors(count: usize) -> Vec<u8> {
    let entries: Vec<String> = (0..count)
        .map(|i| {
            let (layer, part) = (i / 10, i % 10);
            let (begin, end) = (4 * i, 4 * i + 4);
            format!(
                r#""layers.{layer}.part.{part}.weight":{{"dtype":"F32","shape":[1],"data_offsets":[{begin},{end}]}}"#
            )
        })
        .collect();
    let header = format!("{{{}}}", entries.join(","));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.resize(file.len() + 4 * count, 0);
    file
}

/// A GGUF file with a vocabulary of `count` tokens and no tensors.
fn gguf(count: usize) -> Vec<u8> {
    let text = |file: &mut Vec<u8>, text: &str| {
        file.extend((text.len() as u64).to_le_bytes());
        file.extend(text.as_bytes());
    };
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend(0u64.to_le_bytes());
    file.extend(1u64.to_le_bytes());
    text(&mut file, "tokenizer.ggml.tokens");
    file.extend([9, 0, 0, 0, 8, 0, 0, 0]);
    file.extend((count as u64).to_le_bytes());
    for i in 0..count {
        text(&mut file, &format!("token-{i}"));
    }
    file
}

fn open(bencher: Bencher<'_, '_>, count: usize, file: Vec<u8>) {
    let source = Source::from_bytes("bench", file);
    bencher.counter(ItemsCount::new(count)).bench(|| {
        let checkpoint = format::read(&source, &ReadOptions::SUMMARY).unwrap();
        assert!(checkpoint.tensors.len() == count || checkpoint.metadata.len() == 1);
        checkpoint
    });
}

#[divan::bench(args = [1_000, 100_000])]
fn safetensors_tensors(bencher: Bencher<'_, '_>, count: usize) {
    open(bencher, count, safetensors(count));
}

#[divan::bench(args = [32_000, 256_000])]
fn gguf_vocabulary(bencher: Bencher<'_, '_>, count: usize) {
    open(bencher, count, gguf(count));
}
