//! Metadata in the making: keys, values and GGUF's types.

use crate::model::Value;

/// Keys with values and GGUF's names for their types, in order; a key that is there stays.
#[derive(Clone, Debug, Default)]
pub(super) struct Entries(pub(super) Vec<(String, Value, &'static str)>);

impl Entries {
    fn push(&mut self, key: impl Into<String>, value: Value, kind: &'static str) {
        let key = key.into();
        // Linear: a model has about 50 keys.
        if !self.0.iter().any(|(known, ..)| *known == key) {
            self.0.push((key, value, kind));
        }
    }

    pub(super) fn count(&mut self, key: impl Into<String>, value: u32) {
        self.push(key, Value::Int(value.into()), "u32");
    }

    pub(super) fn integer(&mut self, key: impl Into<String>, value: i32) {
        self.push(key, Value::Int(value.into()), "i32");
    }

    pub(super) fn number(&mut self, key: impl Into<String>, value: f64) {
        self.push(key, Value::Float(value), "f32");
    }

    pub(super) fn flag(&mut self, key: impl Into<String>, value: bool) {
        self.push(key, Value::Bool(value), "bool");
    }

    pub(super) fn text(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.push(key, Value::text(value), "str");
    }

    pub(super) fn texts(&mut self, key: impl Into<String>, values: Vec<String>) {
        let values = values.into_iter().map(Value::Text).collect();
        self.push(key, Value::List(values), "arr[str]");
    }

    pub(super) fn integers(&mut self, key: impl Into<String>, values: impl Iterator<Item = i32>) {
        let values = values.map(|value| Value::Int(value.into())).collect();
        self.push(key, Value::List(values), "arr[i32]");
    }

    pub(super) fn numbers(&mut self, key: impl Into<String>, values: impl Iterator<Item = f32>) {
        let values = values.map(|value| Value::Float(value.into())).collect();
        self.push(key, Value::List(values), "arr[f32]");
    }
}
