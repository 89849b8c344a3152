//! Zip archives: `torch.save` since 1.6, and TorchScript.

use super::members::Members;
use super::storage::{Place, Storages, Unpickled};
use crate::error::{Error, Result};
use crate::io::archive::{Archive, Member};
use crate::io::{ByteOrder, Source};
use crate::model::{Level, Note, Value};
use crate::pickle;
use std::collections::HashMap;

/// Bytes of a record that holds a word: `version`, `byteorder`.
const WORD: u64 = 64;

/// Bytes of an extra file that is shown.
const EXTRA: u64 = 64 << 10;

/// What a zip turned out to hold.
#[derive(Debug)]
pub(super) struct Zip {
    pub(super) unpickled: Unpickled,
    pub(super) is_script: bool,
    pub(super) metadata: Vec<(String, Value)>,
    pub(super) notes: Vec<Note>,
}

/// Whether a zip that starts with `head` holds what PyTorch writes.
pub(super) fn detect(head: &[u8], source: &Source) -> bool {
    // The first record is the pickle in what `torch.save` writes; its name stands 30 bytes in.
    if let Some(&[low, high]) = head.get(26..28) {
        let length = usize::from(u16::from_le_bytes([low, high]));
        let name = head.get(30..).and_then(|rest| rest.get(..length));
        if name.is_some_and(|name| name.ends_with(b"/data.pkl")) {
            return true;
        }
    }
    let Ok(archive) = Archive::read_zip(source) else {
        return false;
    };
    main_member(&archive).is_some() || refusal(&archive).is_some()
}

/// The pickle: `data.pkl` in the folder that holds everything.
fn main_member(archive: &Archive) -> Option<&Member> {
    let root = archive
        .members
        .first()?
        .name
        .split_once('/')
        .map(|(root, _)| root);
    let wanted = root.map(|root| format!("{root}/data.pkl"));
    let named = |member: &&Member| {
        let wanted = wanted.as_deref();
        wanted.is_some_and(|wanted| member.name.eq_ignore_ascii_case(wanted))
    };
    let in_root = archive.members.iter().rfind(named);
    in_root.or_else(|| {
        archive
            .members
            .iter()
            .find(|m| m.name.ends_with("/data.pkl"))
    })
}

/// Why a zip that PyTorch wrote is not read here.
fn refusal(archive: &Archive) -> Option<&'static str> {
    let has = |record: &str| {
        let is_record = |name: &str| match name.strip_suffix(record) {
            Some(front) => front.is_empty() || front.ends_with('/'),
            None => false,
        };
        archive.members.iter().any(|member| is_record(&member.name))
    };
    if has(".data/extern_modules") {
        return Some("is a torch.package, which ships program code; only its models could be read");
    }
    if has("serialized_exported_program.json") || has("archive_format") {
        return Some("is an exported program (PT2), which is not read yet");
    }
    if has("model.json") && archive.members.iter().any(|m| m.name.contains("/tensors/")) {
        return Some(
            "is a TorchScript archive of PyTorch 1.0 to 1.3, which later versions do not read either",
        );
    }
    None
}

/// Reads a zip.
pub(super) fn read(source: &Source) -> Result<Zip> {
    let archive = Archive::read_zip(source)?;
    let Some(main) = main_member(&archive) else {
        let why = refusal(&archive).unwrap_or("holds no `data.pkl`");
        return Err(Error::unsupported(why));
    };
    // A package keeps its pickles elsewhere, but may hold one of this name.
    if let Some(why) = refusal(&archive).filter(|why| why.contains("package")) {
        return Err(Error::unsupported(why));
    }
    let name = main.name.clone();
    let root = name
        .rsplit_once('/')
        .map_or("", |(root, _)| root)
        .to_owned();
    let mut notes = oddities(&archive, &root);
    let records = Records {
        members: Members::new(archive),
        root,
    };
    let order = records.byte_order()?;
    let is_script = records.find("constants.pkl")?.is_some();
    let version = records.version(&mut notes)?;
    let metadata = match is_script {
        true => records.metadata(version)?,
        false => Vec::new(),
    };
    let pickle = records.pickle(&name)?;
    if pickle.2 > 0 {
        notes.push(super::leftover(pickle.2).in_member(&name));
    }
    let place = Place::Zip {
        prefix: format!("{}/data/", records.root),
        members: records.members,
    };
    let (opened, pickled, _) = pickle;
    let unpickled = Unpickled {
        graph: pickled.graph,
        root: pickled.root,
        source: opened,
        storages: Storages::new(place, order),
        tensors: None,
        nesting: 0,
    };
    Ok(Zip {
        unpickled,
        is_script,
        metadata,
        notes,
    })
}

fn oddities(archive: &Archive, root: &str) -> Vec<Note> {
    let mut notes: Vec<Note> = archive
        .oddities
        .iter()
        .take(100)
        .map(|oddity| {
            let note =
                Note::new(oddity.rule, Level::Warning, oddity.text.clone()).at(oddity.offset);
            match &oddity.member {
                Some(member) => note.in_member(member),
                None => note,
            }
        })
        .collect();
    let prefix = format!("{root}/");
    if let Some(stray) = archive
        .members
        .iter()
        .find(|m| !m.name.starts_with(&prefix))
    {
        let text = format!("lies outside the folder `{root}`; torch refuses such a file");
        notes.push(Note::new("stray-member", Level::Warning, text).in_member(&stray.name));
    }
    let mut seen: HashMap<String, &str> = HashMap::with_capacity(archive.members.len());
    for member in &archive.members {
        let folded = member.name.to_ascii_lowercase();
        if let Some(first) = seen.insert(folded, &member.name)
            && first != member.name
        {
            let text =
                format!("differs from `{first}` in case only, which torch does not tell apart");
            let note = Note::new("duplicate-member", Level::Warning, text);
            notes.push(note.in_member(&member.name));
        }
    }
    notes
}

/// The records of one archive, below its root.
struct Records {
    members: Members,
    root: String,
}

impl Records {
    fn find(&self, record: &str) -> Result<Option<&Member>> {
        self.members.find(&format!("{}/{record}", self.root))
    }

    /// A short text, trimmed.
    fn text(&self, member: &Member, limit: u64) -> Result<String> {
        let opened = self.members.archive.open(member)?;
        let bytes = opened.read_prefix(0, limit)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    fn byte_order(&self) -> Result<ByteOrder> {
        let Some(member) = self.find("byteorder")? else {
            return Ok(ByteOrder::Little);
        };
        match self.text(member, WORD)?.as_str() {
            "little" => Ok(ByteOrder::Little),
            "big" => Ok(ByteOrder::Big),
            other => {
                let message = format!("byte order `{other}` is neither `little` nor `big`");
                Err(Error::malformed(message).in_member(&member.name))
            }
        }
    }

    fn version(&self, notes: &mut Vec<Note>) -> Result<Option<String>> {
        let found = match self.find(".data/version")? {
            None => self.find("version")?,
            found => found,
        };
        let Some(member) = found else {
            let text = "has no `version` record; torch refuses such a file";
            notes.push(Note::new("no-version", Level::Warning, text));
            return Ok(None);
        };
        let version = self.text(member, WORD)?;
        if !version
            .parse()
            .is_ok_and(|version: u64| (1..=10).contains(&version))
        {
            let text = format!("version `{version}` is not one of 1 to 10");
            notes.push(Note::new("unknown-version", Level::Warning, text).in_member(&member.name));
        }
        Ok(Some(version))
    }

    /// The version, and the files that the writer added.
    fn metadata(&self, version: Option<String>) -> Result<Vec<(String, Value)>> {
        let mut metadata = Vec::new();
        metadata.extend(version.map(|version| ("version".to_owned(), Value::Text(version))));
        let prefix = format!("{}/extra/", self.root);
        for member in &self.members.archive.members {
            if let Some(name) = member.name.strip_prefix(&prefix)
                && metadata.len() < 1000
            {
                let text = match member.len {
                    ..=EXTRA => self.text(member, EXTRA)?,
                    len => format!("<{len} bytes>"),
                };
                metadata.push((format!("extra.{name}"), Value::Text(text)));
            }
        }
        Ok(metadata)
    }

    fn pickle(&self, name: &str) -> Result<(Source, pickle::Pickle, usize)> {
        let member = self.members.find(name)?;
        let member = member.ok_or_else(|| Error::malformed("holds no `data.pkl`"))?;
        let opened = self.members.archive.open(member)?;
        let pickle = pickle::read(&opened, 0).map_err(|error| error.in_member(&member.name))?;
        let leftover = pickle.leftover;
        Ok((opened, pickle, leftover))
    }
}
