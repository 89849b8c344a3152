//! Files of a training folder: which go, and why.

use super::{Dropped, Kind};

/// Names, or how they start and end (`rng_state*.pth`), of files that training programs put
/// beside the weights: Hugging Face's Trainer, Accelerate, DeepSpeed, PEFT.
const FILES: &[(&str, &str)] = &[
    ("optimizer*.pt", "optimizer"),
    ("optimizer*.bin", "optimizer"),
    ("optimizer*.safetensors", "optimizer"),
    ("scheduler*.pt", "scheduler"),
    ("scheduler*.bin", "scheduler"),
    ("scaler*.pt", "gradient scaler"),
    ("rng_state*.pth", "random state"),
    ("random_states_*.pkl", "random state"),
    ("sampler*.bin", "data order"),
    ("dl_state_dict*.bin", "data order"),
    ("custom_checkpoint_*.pkl", "custom state"),
    ("training_args.bin", "hyperparameters"),
    ("trainer_state.json", "progress"),
    ("zero_to_fp32.py", "DeepSpeed's script"),
    ("latest", "progress"),
    ("events.out.tfevents.*", "log"),
];

/// Why the file called `name` is of no use to inference; `None` if it may be.
pub fn is_training_file(name: &str) -> Option<&'static str> {
    let row = FILES
        .iter()
        .find(|(pattern, _)| match pattern.split_once('*') {
            Some((start, end)) => {
                let rest = name.strip_prefix(start);
                rest.is_some_and(|rest| rest.ends_with(end))
            }
            None => name == *pattern,
        });
    row.map(|(_, reason)| *reason)
}

/// What goes of a folder's `files`, names and bytes.
pub fn left_out_files(files: &[(String, u64)]) -> Vec<Dropped> {
    let known = |(name, bytes): &(String, u64)| {
        Some(Dropped {
            kind: Kind::File,
            name: name.clone(),
            reason: is_training_file(name)?,
            bytes: *bytes,
        })
    };
    files.iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_beginning_and_end() {
        assert_eq!(is_training_file("rng_state_3.pth"), Some("random state"));
        assert_eq!(is_training_file("optimizer.pt"), Some("optimizer"));
        assert_eq!(is_training_file("latest"), Some("progress"));
        for name in [
            "model.safetensors",
            "config.json",
            "latest.json",
            "optimizer.json",
        ] {
            assert_eq!(is_training_file(name), None, "{name}");
        }
    }
}
