//! Laws that hold for every format and every file of `testdata/`.

use crate::support::{assert_none, bad_files, good_files, sha256, short, testdata};
use ckpt::dtype::{self, Class};
use ckpt::error::Error;
use ckpt::format::{self, FORMATS, HEAD, ReadOptions, WriteOptions};
use ckpt::io::{SinkOptions, Source};
use ckpt::model::{Checkpoint, Tensor};
use ckpt::op::diff::{self, Verdict};
use ckpt::op::verify::verify;
use ckpt::op::{convert, stats};
use ckpt::parallel::Silent;
use ckpt::stream::{Reader, Scratch};
use ckpt::{DType, Result};
use serde_json::Value as Json;
use std::path::{Path, PathBuf};

/// Files up to this many bytes are tried at every position.
const SMALL: usize = 2048;

/// Positions that are tried in larger ones.
const SAMPLES: usize = 160;

/// Elements that are read of each tensor of a damaged file.
const ELEMENTS: u64 = 1 << 12;

/// Good files that one format reads by itself, with the folder they lie in.
fn single_files() -> Vec<(PathBuf, String, Json)> {
    let mut found = Vec::new();
    for (path, expected) in good_files() {
        let folder = short(&path).split('/').next().unwrap().to_owned();
        if path.is_file() && FORMATS.iter().any(|format| format.name() == folder) {
            found.push((path, folder, expected));
        }
    }
    assert!(found.len() > 100, "{} found", found.len());
    found
}

/// Which formats claim a file.
fn claims(source: &Source) -> Vec<&'static str> {
    let head = source.read_prefix(0, HEAD).unwrap();
    let claiming = FORMATS.iter().filter(|format| format.detect(&head, source));
    claiming.map(|format| format.name()).collect()
}

#[test]
fn exactly_one_format_claims_each_file() {
    let mut failures = Vec::new();
    for (path, folder, _) in single_files() {
        let found = claims(&Source::open(&path).unwrap());
        if found != [folder.as_str()] {
            failures.push(format!("{}: claimed by {found:?}", short(&path)));
        }
    }
    assert_none("files not claimed by their format alone", &failures);
}

#[test]
fn a_wrong_extension_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for (path, _, expected) in single_files() {
        // A file of a split is found by its name.
        if expected.get("several_files").is_some() {
            continue;
        }
        let copy = folder.path().join("model.txt");
        std::fs::copy(&path, &copy).unwrap();
        match (format::open(&path), format::open(&copy)) {
            (Ok(a), Ok(b)) if summary(&a) == summary(&b) => {}
            (Err(a), Err(b)) if a.message() == b.message() => {}
            _ => failures.push(short(&path)),
        }
    }
    assert_none("files read differently by another name", &failures);
}

fn summary(checkpoint: &Checkpoint) -> (&'static str, String, Vec<String>) {
    let tensors = checkpoint.tensors.iter();
    let tensors = tensors.map(|t| format!("{} {} {}", t.name, t.dtype, t.shape));
    (
        checkpoint.format,
        checkpoint.variant.clone(),
        tensors.collect(),
    )
}

/// Opens bytes and reads the beginning of every tensor; the outcome does not matter.
fn try_to_read(bytes: Vec<u8>) -> Result<()> {
    let checkpoint = format::read(&Source::from_bytes("damaged", bytes), &ReadOptions::SUMMARY)?;
    let mut out = Vec::new();
    let mut scratch = Scratch::default();
    for tensor in &checkpoint.tensors {
        if tensor.elements() <= ELEMENTS {
            let reader = Reader::open(tensor)?;
            reader.read(0, tensor.elements(), &mut out, &mut scratch)?;
        }
    }
    Ok(())
}

/// Positions to damage: all of a small file, evenly spread ones of a larger one.
///
/// `CKPT_EVERY_POSITION=1` tries all positions of every file, which takes many minutes.
fn positions(len: usize) -> Vec<usize> {
    if len <= SMALL || std::env::var_os("CKPT_EVERY_POSITION").is_some() {
        return (0..len).collect();
    }
    (0..SAMPLES)
        .map(|i| i * (len - 1) / (SAMPLES - 1))
        .collect()
}

/// What the byte at `position` is changed to: the four kinds take turns.
fn changed(byte: u8, position: usize) -> u8 {
    match position % 4 {
        0 => byte ^ 0xff,
        1 => byte.wrapping_add(1),
        2 => byte ^ 0x80,
        _ => byte.wrapping_sub(1),
    }
}

/// Damages every file by `damage`, on two threads, and collects the places of panics.
fn survive(damage: fn(&[u8], usize) -> Vec<u8>) {
    let mut files: Vec<PathBuf> = good_files().into_iter().map(|(path, _)| path).collect();
    files.retain(|path| path.is_file());
    let count = files.len();
    let (left, right): (Vec<_>, Vec<_>) =
        files.into_iter().enumerate().partition(|(i, _)| i % 2 == 0);
    let work = |part: Vec<(usize, PathBuf)>| {
        let mut failures = Vec::new();
        for (_, path) in part {
            let bytes = std::fs::read(&path).unwrap();
            for position in positions(bytes.len()) {
                let damaged = damage(&bytes, position);
                let outcome = std::panic::catch_unwind(|| try_to_read(damaged).is_ok());
                if outcome.is_err() {
                    failures.push(format!("{} at {position}", short(&path)));
                }
            }
        }
        failures
    };
    let failures = std::thread::scope(|scope| {
        let other = scope.spawn(|| work(right));
        let mut failures = work(left);
        failures.extend(other.join().unwrap());
        failures
    });
    assert_none(&format!("panics, over {count} files"), &failures);
}

/// Damages every file in a process of its own that has little memory to ask for: an allocation
/// that trusts a damaged number ends it.
fn survive_in_little_memory(test: &str, damage: fn(&[u8], usize) -> Vec<u8>) {
    const INSIDE: &str = "CKPT_LAWS_INSIDE";
    if !cfg!(target_os = "linux") || std::env::var_os(INSIDE).is_some() {
        return survive(damage);
    }
    let script = format!("ulimit -v {DAMAGED_ADDRESS_SPACE} && exec \"$0\" \"$@\"");
    let mut shell = std::process::Command::new("sh");
    shell
        .arg("-c")
        .arg(script)
        .arg(std::env::current_exe().unwrap());
    let output = shell
        .args(["--exact", test])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{}\n{text}\n{errors}",
        output.status
    );
    assert!(text.contains("1 passed"), "{text}");
}

/// Memory that reading damaged files may map, in kB.
const DAMAGED_ADDRESS_SPACE: u64 = 1 << 20;

#[test]
fn every_prefix_of_a_file_reads_or_fails() {
    survive_in_little_memory(
        "laws::every_prefix_of_a_file_reads_or_fails",
        |bytes, position| bytes[..position].to_vec(),
    );
}

#[test]
fn every_changed_byte_reads_or_fails() {
    survive_in_little_memory(
        "laws::every_changed_byte_reads_or_fails",
        |bytes, position| {
            let mut bytes = bytes.to_vec();
            bytes[position] = changed(bytes[position], position);
            bytes
        },
    );
}

/// The file that `checkpoint` becomes, and what was written, tensor by tensor.
fn written(checkpoint: Checkpoint, target: &Path, threads: usize) -> Result<Vec<Content>> {
    let options = convert::Options {
        dtype: None,
        tied: match format::ties_of_target(target)? {
            format::Ties::Copies => convert::Tied::Clone,
            _ => convert::Tied::Alias,
        },
        holds: format::dtypes_of_target(target)?,
        ..Default::default()
    };
    let converted = convert::convert(checkpoint, &options)?.checkpoint;
    let content = content(&converted)?;
    let options = WriteOptions {
        sink: SinkOptions {
            replace: true,
            sync: false,
        },
        threads,
        arrangement: format::Arrangement::default(),
        in_place: false,
    };
    let mut check = |found: &[Tensor]| verify(&converted, found, threads, &Silent).map(|_| ());
    format::write_checked(&converted, target, &options, &Silent, Some(&mut check))?;
    Ok(content)
}

/// A tensor's name, dtype, shape and the digest of its bytes.
type Content = (String, String, String, String);

/// Everything that conversion must keep, sorted by name.
fn content(checkpoint: &Checkpoint) -> Result<Vec<Content>> {
    let mut content = Vec::new();
    for tensor in &checkpoint.tensors {
        let bytes = Reader::open(tensor)?.read_all()?;
        content.push((
            tensor.name.clone(),
            tensor.dtype.to_string(),
            tensor.shape.to_string(),
            sha256(&bytes),
        ));
    }
    content.sort();
    Ok(content)
}

/// The extensions of what is written, one for each kind of file.
fn written_extensions() -> Vec<&'static str> {
    let mut found = Vec::new();
    for format in FORMATS {
        let written = |extension: &&&str| format.writer(extension).is_some();
        let mut extensions = format.extensions().iter().filter(written);
        match format.name() {
            // All of PyTorch's are the same.
            "pytorch" => found.extend(extensions.next()),
            _ => found.extend(extensions),
        }
    }
    found
}

/// Whether a file of this extension can hold `tensor`, as it is or as what it becomes there.
fn can_hold(tensor: &ckpt::Tensor, target: &Path) -> bool {
    let alone = Checkpoint {
        tensors: vec![tensor.clone()],
        ..Checkpoint::default()
    };
    let options = convert::Options {
        dtype: None,
        tied: convert::Tied::Clone,
        holds: format::dtypes_of_target(target).unwrap(),
        ..Default::default()
    };
    let converted = convert::convert(alone, &options).map(|converted| converted.checkpoint);
    converted.is_ok_and(|checkpoint| format::plan(&checkpoint, target, &Default::default()).is_ok())
}

/// Reads a file, writes it, reads that, and writes it once more.
fn round_trip(path: &Path, folder: &Path, extension: &str) -> Result<Option<String>> {
    let (first, second) = (
        folder.join(format!("first.{extension}")),
        folder.join(format!("second.{extension}")),
    );
    let mut checkpoint = format::open(path)?;
    // Meta tensors, unknown types and blocks that nobody decodes cannot be written.
    checkpoint.tensors.retain(|tensor| {
        let is_decoded = tensor.dtype.class() != Class::Block
            || dtype::cast::check(tensor.dtype, DType::F32).is_ok();
        is_decoded && Reader::open(tensor).is_ok() && can_hold(tensor, &first)
    });
    // One array, which has no name of its own.
    if extension == "npy" {
        checkpoint.tensors.truncate(1);
        match checkpoint.tensors.first_mut() {
            Some(tensor) => tensor.name = "tensor".to_owned(),
            None => return Ok(None),
        }
    }
    let expected = written(checkpoint.clone(), &first, 1)?;
    let read = format::open(&first)?;
    let bytes = std::fs::read(&first).unwrap();
    Ok(if content(&read)? != expected {
        Some("what was written reads differently".to_owned())
    } else if let Some(why) = refused_by_the_crate(&read, &bytes) {
        Some(why)
    } else if written(read, &second, 2)? != expected || std::fs::read(&second).unwrap() != bytes {
        Some("a canonical file is not reproduced byte for byte".to_owned())
    } else if written(checkpoint, &second, 7)? != expected
        || std::fs::read(&second).unwrap() != bytes
    {
        Some("seven threads write other bytes than one".to_owned())
    } else {
        None
    })
}

/// What the official crate says against a safetensors file that we read as `found`.
fn refused_by_the_crate(found: &Checkpoint, bytes: &[u8]) -> Option<String> {
    if found.format != "safetensors" {
        return None;
    }
    let stored = found.tensors.iter().filter(|t| t.tied_to.is_none()).count();
    let read = safetensors::SafeTensors::deserialize(bytes).map(|file| file.len());
    let agrees = read.as_ref().is_ok_and(|count| *count == stored);
    (!agrees).then(|| format!("the safetensors crate finds {read:?} of {stored}"))
}

#[test]
fn what_is_written_reads_back_equal_whatever_the_threads() {
    let folder = tempfile::tempdir().unwrap();
    let mut failures = Vec::new();
    for extension in written_extensions() {
        let mut equal = 0;
        for (path, _) in good_files() {
            match round_trip(&path, folder.path(), extension) {
                Ok(None) => equal += 1,
                Ok(Some(why)) => failures.push(format!("{} as {extension}: {why}", short(&path))),
                Err(error) => {
                    failures.push(format!("{} as {extension}: {error}", short(&path)));
                }
            }
        }
        assert!(equal > 100, "{equal} files tried as {extension}");
    }
    assert_none("files change on their way", &failures);
}

/// Every good file that opens; `format::testdata` names those that do not.
fn opened() -> Vec<(String, Checkpoint)> {
    let open = |(path, _): (PathBuf, Json)| Some((short(&path), format::open(&path).ok()?));
    let opened: Vec<_> = good_files().into_iter().filter_map(open).collect();
    assert!(opened.len() > 100, "{} opened", opened.len());
    opened
}

#[test]
fn statistics_do_not_depend_on_threads_or_chunks() {
    let mut failures = Vec::new();
    for (name, checkpoint) in opened() {
        let measure = |threads: usize, chunk_bytes: usize| {
            let options = stats::Options {
                threads,
                chunk_bytes,
                quantiles: vec![0.01, 0.5],
                bins: 4,
                ..stats::Options::default()
            };
            let found = stats::stats(&checkpoint, &options).unwrap();
            format!("{:?} {:?}", found.rows, found.totals)
        };
        let expected = measure(1, 256 << 10);
        for (threads, chunk_bytes) in [(2, 256 << 10), (7, 4096), (1, 64), (2, 1000)] {
            if measure(threads, chunk_bytes) != expected {
                failures.push(format!(
                    "{name}: {threads} threads, chunks of {chunk_bytes}"
                ));
            }
        }
    }
    assert_none("statistics differ", &failures);
}

#[test]
fn a_checkpoint_does_not_differ_from_itself() {
    let mut failures = Vec::new();
    for (name, checkpoint) in opened() {
        for threads in [1, 2, 7] {
            let options = diff::Options {
                threads,
                ..diff::Options::default()
            };
            let found = diff::diff(&checkpoint, &checkpoint, &options, &Silent).unwrap();
            let is_same =
                |row: &diff::Row| !matches!(row.verdict, Ok(v) if v != Verdict::Identical);
            if !found.rows.iter().all(is_same) || !found.metadata.is_empty() {
                failures.push(format!("{name}: {} threads", threads));
            }
        }
    }
    assert_none("checkpoints differ from themselves", &failures);
}

/// A difference in which A and B have changed places.
fn mirrored(difference: &diff::Difference) -> Vec<(String, Option<Verdict>)> {
    let mirror = |row: &diff::Row| {
        let verdict = row.verdict.as_ref().ok().copied();
        let verdict = match verdict {
            Some(Verdict::OnlyInA) => Some(Verdict::OnlyInB),
            Some(Verdict::OnlyInB) => Some(Verdict::OnlyInA),
            other => other,
        };
        (row.name.clone(), verdict)
    };
    difference.rows.iter().map(mirror).collect()
}

#[test]
fn differences_mirror() {
    let options = diff::Options {
        is_exact: true,
        ..diff::Options::default()
    };
    let mut failures = Vec::new();
    let files = opened();
    for pair in files.windows(2) {
        let [(a_name, a), (b_name, b)] = pair else {
            continue;
        };
        let there = diff::diff(a, b, &options, &Silent).unwrap();
        let back = diff::diff(b, a, &options, &Silent).unwrap();
        let verdicts = |row: &diff::Row| (row.name.clone(), row.verdict.as_ref().ok().copied());
        let back: Vec<_> = back.rows.iter().map(verdicts).collect();
        if mirrored(&there) != back {
            failures.push(format!("{a_name} and {b_name}"));
        }
    }
    assert_none("differences do not mirror", &failures);
}

/// Opens a bad file and, where that succeeds, reads all of its tensors.
fn failure_of(path: &Path) -> Option<Error> {
    let read = || -> Result<()> {
        let checkpoint = format::open(path)?;
        for tensor in &checkpoint.tensors {
            Reader::open(tensor)?.read_all()?;
        }
        Ok(())
    };
    read().err()
}

/// The message without the machine's paths.
fn portable(error: &Error, path: &Path) -> String {
    let folder = format!("{}/", testdata("bad").to_string_lossy());
    let message = error.to_string().replace(&folder, "");
    let own = path
        .strip_prefix(testdata("bad"))
        .unwrap()
        .to_string_lossy();
    match message.strip_prefix(&format!("{own}: ")) {
        Some(rest) => format!("{rest}\n"),
        None => format!("{message}\n"),
    }
}

/// Whether the error says whose fault it is, and where, as `why.json` demands.
fn misplaced(error: &Error, reason: &Json) -> Vec<String> {
    let place = error.place();
    let found = [
        (
            "kind",
            Json::from(format!("{:?}", error.kind()).to_lowercase()),
        ),
        ("tensor", place.tensor.as_deref().into()),
        ("member", place.member.as_deref().into()),
        ("offset", place.offset.into()),
    ];
    let mut out = Vec::new();
    for (what, found) in found {
        if let Some(expected) = reason.get(what).filter(|e| !e.is_null() && **e != found) {
            out.push(format!("{what} is {found}, expected {expected}"));
        }
    }
    out
}

#[test]
fn every_bad_file_has_a_reason_and_every_message_a_file() {
    let known: Vec<PathBuf> = bad_files().into_iter().map(|(path, _)| path).collect();
    let mut failures = Vec::new();
    for entry in std::fs::read_dir(testdata("bad")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let file = name.strip_suffix(".err").unwrap_or(&name);
        if file != "why.json" && !known.contains(&testdata("bad").join(file)) {
            failures.push(name);
        }
    }
    assert_none("files that `why.json` does not know", &failures);
}

#[test]
fn every_bad_file_fails_and_says_why() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut failures = Vec::new();
    for (path, reason) in bad_files() {
        let name = short(&path);
        let Some(error) = failure_of(&path) else {
            failures.push(format!("{name}: reads, but {}", reason["why"]));
            continue;
        };
        let message = portable(&error, &path);
        for line in misplaced(&error, &reason) {
            failures.push(format!("{name}: {line}: {message}"));
        }
        let golden = PathBuf::from(format!("{}.err", path.to_string_lossy()));
        if bless {
            std::fs::write(&golden, &message).unwrap();
        } else if std::fs::read_to_string(&golden).unwrap_or_default() != message {
            failures.push(format!("{name}: `.err` differs: {message}"));
        }
    }
    assert_none("bad files out of order", &failures);
}

/// Memory that the program may map for a bad file, in kB: its own and the threads' included.
#[cfg(target_os = "linux")]
const ADDRESS_SPACE: u64 = 256 << 10;

#[cfg(target_os = "linux")]
#[test]
fn bad_files_are_refused_in_little_memory() {
    let mut failures = Vec::new();
    for (path, _) in bad_files() {
        let script = format!("ulimit -v {ADDRESS_SPACE} && exec \"$0\" inspect --json \"$1\"");
        let mut shell = std::process::Command::new("sh");
        let arguments = ["-c", script.as_str(), env!("CARGO_BIN_EXE_ckpt")];
        let output = shell.args(arguments).arg(&path).output().unwrap();
        // Some faults lie in the data, which `inspect` does not touch.
        let is_clean = matches!(output.status.code(), Some(0 | 2));
        if !is_clean {
            let text = String::from_utf8_lossy(&output.stderr);
            failures.push(format!("{}: {}: {text}", short(&path), output.status));
        }
    }
    assert_none("bad files broke the program", &failures);
}

/// More bytes than the program may map: measuring must not hold a tensor in memory.
#[cfg(target_os = "linux")]
#[test]
fn large_tensors_are_measured_and_compared_in_little_memory() {
    let bytes = (ADDRESS_SPACE << 10) + (64 << 20);
    let folder = tempfile::tempdir().unwrap();
    let header = format!(
        r#"{{"w":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{bytes}]}}}}"#,
        bytes / 4
    );
    let header = format!("{header:<0$}", header.len().next_multiple_of(8));
    // All zeros but for the last element of one: the files take no room on disk.
    for (name, last) in [("a", 0.0f32), ("b", 2.0)] {
        let path = folder.path().join(name);
        let head = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
        std::fs::write(&path, &head).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        let end = head.len() as u64 + bytes;
        file.set_len(end).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &last.to_le_bytes(), end - 4).unwrap();
    }
    for (arguments, status, found) in [
        ("stats b", 0, "\"max\": 2.0"),
        ("hash b", 0, "\"digest\""),
        ("diff a b", 1, "\"changed\": 1,"),
    ] {
        let script = format!("ulimit -v {ADDRESS_SPACE} && exec \"$0\" {arguments} -j 2 --json");
        let mut shell = std::process::Command::new("sh");
        let shell = shell.args(["-c", script.as_str(), env!("CARGO_BIN_EXE_ckpt")]);
        let output = shell.current_dir(folder.path()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments}: {error}");
        assert!(text.contains(found), "{arguments}: {text}");
    }
}
