//! Runs that are killed, disks that are full, targets that cannot be written.

#![cfg(target_os = "linux")]

use super::shards::{digest, run};
use super::support::{ckpt_in, command, safetensors};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a folder holds, by name.
type Files = BTreeMap<String, Vec<u8>>;

fn files(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

fn put(folder: &Path, files: &Files) {
    for (name, bytes) in files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
}

/// Twelve F32 tensors of 256 KiB, as a file.
fn source() -> Vec<u8> {
    let (mut header, mut data) = (String::new(), Vec::new());
    for number in 0..12usize {
        let begin = data.len();
        for element in 0..1 << 16 {
            data.extend(((element * 7 + number) as f32 / 3.0).to_le_bytes());
        }
        let end = data.len();
        write!(
            header,
            r#","layers.{number}.w":{{"dtype":"F32","shape":[65536],"data_offsets":[{begin},{end}]}}"#
        )
        .unwrap();
    }
    safetensors(&format!("{{{}}}", &header[1..]), &data)
}

/// Numbers that look random and are the same at every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 33) % limit
    }
}

/// Runs `ckpt` and kills it after a while. Whether the kill was in time.
fn killed(folder: &Path, args: &[&str], after: Duration) -> bool {
    let mut child = command(args)
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap().signal() == Some(9)
}

/// Kills a run at random moments, each time over the files of `before`. What is found then must
/// please `check`, be hidden and passing, or be as it is without a kill; and running again succeeds.
fn kill_at_random(args: &[&str], before: &Files, seed: u64, check: &dyn Fn(&Path, &Files, &Files)) {
    let fresh = || {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), before);
        folder
    };
    let whole = fresh();
    let start = Instant::now();
    run(whole.path(), args);
    let time = start.elapsed().as_micros() as u64;
    let after = files(whole.path());
    let mut random = Random(seed);
    let mut kills = 0;
    for _ in 0..10 {
        let folder = fresh();
        let folder = folder.path();
        let moment = Duration::from_micros(random.below(time * 5 / 4));
        kills += u32::from(killed(folder, args, moment));
        let found = files(folder);
        for (name, bytes) in &found {
            let is_passing = name.starts_with('.') && name.contains(".tmp");
            let is_known = before.get(name) == Some(bytes) || after.get(name) == Some(bytes);
            assert!(
                is_passing || is_known,
                "{args:?}: `{name}` is neither old nor new"
            );
        }
        check(folder, &found, &after);
        run(folder, &[args, &["-f"]].concat());
        let again = files(folder);
        let names: Vec<&String> = again.keys().collect();
        assert!(again == after, "{args:?}: running again gives {names:?}");
    }
    assert!(kills > 0, "{args:?}: no kill was in time");
}

#[test]
fn a_killed_conversion_leaves_its_source_and_no_half_file() {
    let before = Files::from([("a.safetensors".to_owned(), source())]);
    let untouched = |_: &Path, found: &Files, _: &Files| {
        assert!(found["a.safetensors"] == before["a.safetensors"]);
    };
    let one = [
        "convert",
        "a.safetensors",
        "b.safetensors",
        "--dtype",
        "bf16",
    ];
    kill_at_random(&one, &before, 1, &untouched);
    let prune = [
        "prune",
        "a.safetensors",
        "b.safetensors",
        "--drop",
        "layers.3.*",
    ];
    kill_at_random(&prune, &before, 2, &untouched);
    let sharded = ["convert", "a.safetensors", "b.bin", "--shards", "5"];
    kill_at_random(&sharded, &before, 3, &|folder, found, after| {
        untouched(folder, found, after);
        // The index comes when everything else is there.
        if found.contains_key("b.bin.index.json") {
            assert!(found == after);
        }
    });
}

#[test]
fn a_killed_replacement_leaves_the_old_set_or_the_new() {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    std::fs::write(folder.join("a.safetensors"), source()).unwrap();
    let split = ["convert", "a.safetensors", "m.safetensors", "--shards", "4"];
    run(folder, &split);
    let old = digest(folder, "a.safetensors");
    std::fs::remove_file(folder.join("a.safetensors")).unwrap();
    let before = files(folder);
    let index = "m.safetensors.index.json";
    for (seed, shards) in [(4, "4"), (5, "3")] {
        let args = [
            "convert",
            index,
            "m.safetensors",
            "--in-place",
            "--dtype",
            "bf16",
        ];
        let args = [&args[..], &["--no-sync", "--shards", shards]].concat();
        kill_at_random(&args, &before, seed, &|folder, _, after| {
            let whole = tempfile::tempdir().unwrap();
            put(whole.path(), after);
            let found = digest(folder, index);
            assert!(found == old || found == digest(whole.path(), index));
        });
    }
}

/// Runs `script` in a shell with `$CKPT`, in `folder`: status, output.
fn shell(folder: &Path, wrapper: &[&str], script: &str) -> (Option<i32>, String) {
    let words = [wrapper, &["sh", "-c", script]].concat();
    let mut command = Command::new(words[0]);
    let output = command
        .args(&words[1..])
        .current_dir(folder)
        .env("CKPT", env!("CARGO_BIN_EXE_ckpt"))
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn a_limit_on_file_sizes_leaves_nothing() {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    std::fs::write(folder.join("a.safetensors"), source()).unwrap();
    let before = files(folder);
    for target in ["b.safetensors", "b.gguf", "b.pt --shards 2"] {
        let run = format!("ulimit -f 64; exec $CKPT convert a.safetensors {target}");
        // The system kills who does not ignore the signal.
        let (status, said) = shell(folder, &[], &run);
        assert_eq!(status, None, "{said}");
        assert!(files(folder) == before, "{target}");
        let (status, said) = shell(folder, &[], &format!("trap '' XFSZ; {run}"));
        assert_eq!(status, Some(2), "{said}");
        assert!(said.starts_with("ckpt: ") && said.contains("b"), "{said}");
        assert!(said.contains("cannot make room"), "{said}");
        assert!(files(folder) == before, "{target}");
    }
}

/// Runs `script` where `full` is a file system of its own, of this size; `None` where the system does
/// not allow that.
#[allow(clippy::print_stderr)]
fn on_small_disk(folder: &Path, size: &str, script: &str) -> Option<(Option<i32>, String)> {
    std::fs::create_dir_all(folder.join("full")).unwrap();
    let mount = &format!("mount -t tmpfs -o size={size} none full");
    let unshare = ["unshare", "-rm"];
    let is_possible = Command::new("unshare").arg("--version").output().is_ok()
        && shell(folder, &unshare, mount).0 == Some(0);
    if !is_possible {
        eprintln!("skipped: no file system can be mounted here");
        return None;
    }
    Some(shell(
        folder,
        &unshare,
        &format!("{mount} && {{ {script}\n}}"),
    ))
}

#[test]
fn a_full_disk_is_an_error_before_or_while_it_is_written() {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    std::fs::write(folder.join("a.safetensors"), source()).unwrap();
    let convert = "$CKPT convert a.safetensors full/b.safetensors; echo status $?; ls -A full";
    let Some((_, said)) = on_small_disk(folder, "256k", convert) else {
        return;
    };
    assert!(said.contains("but its disk has 262144 free"), "{said}");
    assert!(said.contains("status 2\n"), "{said}");
    assert!(!said.contains("b.safetensors\n"), "{said}");
    // A page for each of a hundred files is more than their bytes.
    let (mut header, mut data) = (String::new(), Vec::new());
    for number in 0..100 {
        let end = data.len() + 4;
        write!(
            header,
            r#","{number}":{{"dtype":"F32","shape":[1],"data_offsets":[{},{end}]}}"#,
            data.len()
        )
        .unwrap();
        data.extend([0; 4]);
    }
    let file = safetensors(&format!("{{{}}}", &header[1..]), &data);
    std::fs::write(folder.join("a.safetensors"), file).unwrap();
    let convert = convert.replacen(';', " --shards 100;", 1);
    let (_, said) = on_small_disk(folder, "256k", &convert).unwrap();
    assert!(said.contains("No space left on device"), "{said}");
    assert!(said.contains("status 2\n"), "{said}");
    assert!(!said.contains("-of-00100.safetensors\n"), "{said}");
}

#[test]
fn a_target_that_cannot_be_written_is_said_and_left_alone() {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    std::fs::write(folder.join("a.safetensors"), source()).unwrap();
    let refuse = |target: &str, why: &str| {
        let ran = ckpt_in(folder, &["convert", "a.safetensors", target, "-f"]);
        assert_eq!(ran.status, 2, "{target}: {}", ran.stderr);
        assert!(ran.stderr.contains(why), "{target}: {}", ran.stderr);
    };
    refuse(
        "nowhere/b.safetensors",
        "nowhere/b.safetensors: cannot create",
    );
    refuse("a.safetensors/b.safetensors", "cannot create");
    refuse("-", "a name without an extension says no format");
    refuse("/dev/stdout", "a name without an extension says no format");
    std::fs::create_dir(folder.join("d.safetensors")).unwrap();
    let made = Command::new("mkfifo")
        .arg(folder.join("p.safetensors"))
        .status();
    assert!(made.unwrap().success());
    refuse("p.safetensors", "is a pipe or a device, not a file");
    std::os::unix::fs::symlink("/dev/null", folder.join("l.safetensors")).unwrap();
    run(folder, &["convert", "a.safetensors", "l.safetensors", "-f"]);
    // The link was replaced, not what it leads to; a folder is written into.
    assert!(
        folder
            .join("l.safetensors")
            .symlink_metadata()
            .unwrap()
            .is_file()
    );
    run(folder, &["convert", "a.safetensors", "d.safetensors"]);
    assert!(folder.join("d.safetensors/a.safetensors").is_file());
}

#[test]
#[allow(clippy::print_stderr)]
fn a_folder_that_is_read_only_is_said() {
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    std::fs::write(folder.join("a.safetensors"), source()).unwrap();
    let convert = "$CKPT convert a.safetensors full/b.safetensors; echo status $?; ls -A full";
    let script = format!("mount -o remount,ro full; {convert}");
    if let Some((_, said)) = on_small_disk(folder, "8m", &script) {
        assert!(said.contains("Read-only file system"), "{said}");
        assert!(said.contains("status 2\n"), "{said}");
    }
    let locked = folder.join("locked");
    std::fs::create_dir(&locked).unwrap();
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(locked.join("probe"), "").is_ok() {
        eprintln!("skipped: permissions do not hold for this user");
        return;
    }
    let ran = ckpt_in(
        folder,
        &["convert", "a.safetensors", "locked/b.safetensors"],
    );
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("Permission denied"), "{}", ran.stderr);
}

#[test]
fn another_file_system_is_written_as_any() {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        return;
    };
    let made = tempfile::tempdir().unwrap();
    let folder = made.path();
    std::fs::write(folder.join("a.safetensors"), source()).unwrap();
    let target = other.path().join("b.safetensors");
    let target = target.to_str().unwrap();
    run(
        folder,
        &["convert", "a.safetensors", target, "--shards", "3"],
    );
    let index = format!("{target}.index.json");
    assert_eq!(digest(folder, &index), digest(folder, "a.safetensors"));
    assert_eq!(files(other.path()).len(), 4);
}
