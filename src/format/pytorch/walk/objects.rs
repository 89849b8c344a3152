//! Objects of classes that are not here: their attributes, as paths.

use super::*;

impl Walker<'_> {
    pub(super) fn persistent(&mut self, item: Item) -> Result<Option<Value>> {
        if let View::Persistent(id) = self.unpickled.graph.view(item) {
            if let Some(tensors) = &self.unpickled.tensors
                && let Some(key) = self.unpickled.key_text(id)
            {
                let missing = || Error::malformed(format!("the archive holds no tensor `{key}`"));
                let built = tensors.get(&key).cloned().ok_or_else(missing);
                self.emit(built.map_err(|error| self.name_error(error))?)?;
                return Ok(None);
            }
            let parts = self.unpickled.graph.sequence(id).unwrap_or_default();
            let kind = parts
                .first()
                .and_then(|&kind| self.unpickled.graph.text(kind));
            if kind.as_deref() != Some("storage") {
                let value = names::scalar(self.unpickled, item);
                return self.node(value);
            }
        }
        let storage = self.unpickled.storage(item).and_then(whole_storage);
        let built = storage.map_err(|error| self.name_error(error))?;
        self.emit(built)?;
        Ok(None)
    }

    /// An object of a class that we do not have.
    pub(super) fn object(&mut self, item: Item, call: &Call) -> Result<Option<Value>> {
        let unpickled = self.unpickled;
        let graph = &unpickled.graph;
        if let Some(value) = names::known_value(unpickled, item, call) {
            return self.node(value);
        }
        if let Some(items) = names::known_sequence(unpickled, call) {
            return self.items(&items);
        }
        let mut pairs = Vec::new();
        let args = names::constructor_args(unpickled, call);
        let is_described = call.state.is_absent() && graph.appended(call).is_empty();
        if is_described
            && graph.pairs(call).is_empty()
            && args.iter().all(|&a| names::is_plain(graph, a))
        {
            let text = names::call_text(unpickled, call);
            return self.node(Value::text(text));
        }
        if !args.is_empty() {
            pairs.push(("_args".to_owned(), Argument::Items(args.to_vec())));
        }
        pairs.extend(
            self.attributes(call.state)
                .into_iter()
                .map(|(key, item)| (key, Argument::Item(item))),
        );
        let own = graph.pairs(call).iter();
        pairs.extend(own.map(|&(key, item)| (names::key(unpickled, key), Argument::Item(item))));
        let appended = graph.appended(call).iter().enumerate();
        pairs.extend(appended.map(|(index, &item)| (index.to_string(), Argument::Item(item))));
        if pairs.is_empty() {
            let text = names::call_text(unpickled, call);
            return self.node(Value::text(text));
        }
        self.object_pairs(pairs)
    }

    pub(super) fn object_pairs(&mut self, pairs: Vec<(String, Argument)>) -> Result<Option<Value>> {
        let is_module = self.is_script || pairs.iter().any(|(key, _)| key == "_modules");
        let mut entries = Vec::new();
        for (key, argument) in pairs {
            let item = match argument {
                Argument::Item(item) => item,
                Argument::Items(items) => {
                    let length = self.path.len();
                    if length > 0 {
                        self.path.push('.');
                    }
                    self.path.push_str(&key);
                    let value = self.items(&items);
                    self.path.truncate(length);
                    entries.extend(value?.map(|value| (key, value)));
                    continue;
                }
            };
            if is_module && names::is_module_noise(&self.unpickled.graph, &key, item) {
                continue;
            }
            let vanishes = matches!(&*key, "_parameters" | "_buffers" | "_modules");
            match self.mapping(item).filter(|_| vanishes) {
                Some(inner) => {
                    for (key, item) in inner {
                        let value = match self.unpickled.graph.view(item) {
                            View::None => None,
                            _ => self.child(&key, item)?,
                        };
                        entries.extend(value.map(|value| (key, value)));
                    }
                }
                None => {
                    let value = self.child(&key, item)?;
                    entries.extend(value.map(|value| (key, value)));
                }
            }
        }
        self.filled(entries.is_empty(), Value::Map(entries))
    }

    /// Attributes that a state gives: a dict, or a pair of a dict and one of slots.
    pub(super) fn attributes(&self, state: Item) -> Pairs {
        if let Some(pairs) = self.mapping(state) {
            return pairs;
        }
        let graph = &self.unpickled.graph;
        match graph.view(state) {
            View::Absent | View::None => Vec::new(),
            View::Tuple(&[first, second])
                if matches!(graph.view(first), View::None | View::Dict(_))
                    && matches!(graph.view(second), View::Dict(_)) =>
            {
                let mut pairs = self.mapping(first).unwrap_or_default();
                pairs.extend(self.mapping(second).unwrap_or_default());
                pairs
            }
            _ => vec![("_state".to_owned(), state)],
        }
    }
}
