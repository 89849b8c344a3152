//! Numbers and words of a JSON file, each checked where it is asked for.

use crate::error::{Error, Result};
use crate::model::Value;

/// A JSON object, and what errors call its file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Config<'a> {
    pub(super) value: &'a Value,
    pub(super) file: &'a str,
}

impl<'a> Config<'a> {
    /// The value of the first of `keys` that is there and not null, with its key.
    fn find(self, keys: &[&'a str]) -> Option<(&'a str, &'a Value)> {
        let mut found = keys.iter().filter_map(|key| {
            let value = self.value.get(key)?;
            (*value != Value::Null).then_some((*key, value))
        });
        found.next()
    }

    /// The object under `key`.
    pub(super) fn inner(self, key: &str) -> Option<Config<'a>> {
        let value = self.value.get(key)?;
        matches!(value, Value::Map(_)).then_some(Config { value, ..self })
    }

    fn wrong(self, key: &str, value: &Value, wanted: &str) -> Error {
        let found = match value {
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "an object".to_owned(),
            other => other.scalar_text().unwrap_or_default(),
        };
        let message = format!("`{key}` is `{found}`, not {wanted}");
        Error::malformed(message).in_file(self.file)
    }

    /// A count: an integer from 1 to 2^32 - 1 (of the first of `keys` that is there).
    pub(super) fn count(self, keys: &[&'a str]) -> Result<Option<u32>> {
        let Some((key, value)) = self.find(keys) else {
            return Ok(None);
        };
        let count = value.as_u64().and_then(|count| u32::try_from(count).ok());
        let count = count.filter(|count| *count > 0);
        count
            .map(Some)
            .ok_or_else(|| self.wrong(key, value, "a count from 1 to 4294967295"))
    }

    pub(super) fn needed_count(self, keys: &[&'a str]) -> Result<u32> {
        self.count(keys)?.ok_or_else(|| self.missing(keys))
    }

    fn missing(self, keys: &[&str]) -> Error {
        let key = keys.first().copied().unwrap_or_default();
        Error::malformed(format!("`{key}` is missing")).in_file(self.file)
    }

    /// A finite number.
    pub(super) fn number(self, keys: &[&'a str]) -> Result<Option<f64>> {
        let Some((key, value)) = self.find(keys) else {
            return Ok(None);
        };
        let number = match *value {
            Value::Int(number) => Some(number as f64),
            Value::Unsigned(number) => Some(number as f64),
            // What F32 cannot hold is no number of a model.
            Value::Float(number) => Some(number).filter(|n| (*n as f32).is_finite()),
            _ => None,
        };
        number
            .map(Some)
            .ok_or_else(|| self.wrong(key, value, "a finite number"))
    }

    pub(super) fn needed_number(self, keys: &[&'a str]) -> Result<f64> {
        self.number(keys)?.ok_or_else(|| self.missing(keys))
    }

    pub(super) fn text(self, key: &'a str) -> Result<Option<&'a str>> {
        let Some((key, value)) = self.find(&[key]) else {
            return Ok(None);
        };
        let text = value.as_text();
        text.map(Some)
            .ok_or_else(|| self.wrong(key, value, "a text"))
    }

    pub(super) fn flag(self, key: &'a str) -> Result<Option<bool>> {
        match self.find(&[key]) {
            None => Ok(None),
            Some((_, Value::Bool(flag))) => Ok(Some(*flag)),
            Some((key, value)) => Err(self.wrong(key, value, "true or false")),
        }
    }
}
