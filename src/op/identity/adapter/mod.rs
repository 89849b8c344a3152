//! Adapters: LoRA and its kin, by the names that their writers give.
//!
//! [`recognise`] needs names and shapes only; [`measure`] reads the values.

mod base;
mod measure;
mod names;

pub use measure::{Health, Measured, Problem, measure};

use super::{Domain, Evidence, Fact, Identity, Kind};
use crate::model::{Beside, Checkpoint, Tensor, Value};
use base::Base;
use names::Role;
use std::collections::{BTreeMap, HashMap, HashSet};

/// For each of `names`, whether it belongs to a module that an adapter changes, or to a module
/// that PEFT trained whole beside them.
pub fn members<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<bool> {
    let is_pair = |role: Role| {
        role.is_matrix() && !matches!(role, Role::Difference | Role::BiasDifference | Role::Ia3)
    };
    let saved: Vec<String> = names.clone().map(saved_name).collect();
    let parsed: Vec<_> = saved.iter().map(|name| names::parse(name)).collect();
    let modules: HashSet<&str> = parsed
        .iter()
        .flatten()
        .filter(|(_, role, _)| is_pair(*role))
        .map(|(module, _, _)| *module)
        .collect();
    let is_whole = |name: &str| !modules.is_empty() && name.contains(SAVED_WHOLE);
    let is_part = |parsed: &Option<(&str, Role, &str)>| {
        parsed.is_some_and(|(module, _, _)| modules.contains(module))
    };
    let pairs = names.zip(&parsed);
    pairs
        .map(|(name, parsed)| is_part(parsed) || is_whole(name))
        .collect()
}

/// What stands in the name of a module that PEFT trains whole, while it trains.
const SAVED_WHOLE: &str = ".modules_to_save.default.";

/// The name under which PEFT saves a tensor: without that of the adapter, `default`.
///
/// Source: PEFT, `utils/save_and_load.py` (`get_peft_model_state_dict`).
pub fn saved_name(name: &str) -> String {
    let name = name.replace(SAVED_WHOLE, ".");
    if let Some(stem) = name.strip_suffix(".default") {
        return stem.to_owned();
    }
    match name.rsplit_once(".default.") {
        Some((module, "weight" | "bias")) => format!("{module}.{}", &name[module.len() + 9..]),
        _ => name,
    }
}

/// How an adapter's change is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// `up * down`.
    Lora,
    /// `up * down` of convolutions, perhaps with a core between them.
    Locon,
    /// The product of two low-rank matrices, element by element.
    Loha,
    /// A Kronecker product.
    Lokr,
    /// An orthogonal transformation.
    Oft,
    /// Vectors that scale.
    Ia3,
    /// The difference itself.
    Full,
}

impl Method {
    /// As its authors call it.
    pub fn name(self) -> &'static str {
        match self {
            Method::Lora => "LoRA",
            Method::Locon => "LoCon",
            Method::Loha => "LoHa",
            Method::Lokr => "LoKr",
            Method::Oft => "OFT",
            Method::Ia3 => "IA3",
            Method::Full => "full difference",
        }
    }
}

/// An adapter's modules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adapter {
    /// Whose names they have: `kohya`, `diffusers`, `PEFT`, ...
    pub naming: &'static str,
    /// The modules that are changed, in file order.
    pub pairs: Vec<Pair>,
    /// Tensors that belong to no module: parts trained whole.
    pub others: u64,
    /// The model that the configuration beside it names.
    pub base_model: Option<String>,
    /// The family that names and widths point to, its name, and the module that says so.
    pub base: Option<(&'static str, &'static str, String)>,
    /// Patterns of its configuration that were left aside: no regular expressions, too large, or
    /// too many.
    pub unused_patterns: usize,
}

/// What changes one module.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    /// The module, as the file spells it.
    pub module: String,
    /// How the change is put together.
    pub method: Method,
    /// Whether a magnitude stands beside it (DoRA).
    pub is_dora: bool,
    /// Rows of the smaller matrices; `None` where there are none.
    pub rank: Option<u64>,
    /// By what the change is scaled: alpha and rank, if nothing but values is missing.
    scaling: Scaling,
    /// The places of its tensors in the checkpoint, by role.
    tensors: Vec<(Role, usize)>,
}

/// Where the factor of a change comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Scaling {
    /// Alpha, if a configuration says it; one in a tensor goes before.
    alpha: Option<f64>,
    /// Whether alpha is divided by the root of the rank.
    is_rank_stabilised: bool,
}

impl Pair {
    /// The place of the tensor that has this role.
    fn place(&self, role: Role) -> Option<usize> {
        self.tensors
            .iter()
            .find(|(r, _)| *r == role)
            .map(|(_, place)| *place)
    }
}

impl Adapter {
    /// Ranks that occur, with how many modules have each.
    pub fn ranks(&self) -> Vec<(u64, usize)> {
        let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
        for rank in self.pairs.iter().filter_map(|pair| pair.rank) {
            *counts.entry(rank).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    /// Methods that occur, with how many modules have each.
    pub fn methods(&self) -> Vec<(Method, usize)> {
        let mut counts: BTreeMap<Method, usize> = BTreeMap::new();
        for pair in &self.pairs {
            *counts.entry(pair.method).or_default() += 1;
        }
        counts.into_iter().collect()
    }

    /// How many modules of each part of the model are changed: `unet`, `text_encoder`, ...
    pub fn touched(&self) -> Vec<(String, usize)> {
        let mut counts: Vec<(String, usize)> = Vec::new();
        for pair in &self.pairs {
            let part = names::part(&pair.module);
            match counts.iter_mut().find(|(known, _)| known == part) {
                Some((_, count)) => *count += 1,
                None => counts.push((part.to_owned(), 1)),
            }
        }
        counts
    }
}

/// The adapter in `checkpoint`; `None` if it is none.
pub fn recognise(checkpoint: &Checkpoint, beside: &Beside) -> Option<Adapter> {
    let tensors = &checkpoint.tensors;
    // Most files are no adapters, and one look at each name is enough to know.
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut adapter = Adapter::default();
    let mut used = 0u64;
    for (place, tensor) in tensors.iter().enumerate() {
        let Some((module, role, naming)) = names::parse(&tensor.name) else {
            continue;
        };
        used += 1;
        let number = *places.entry(module).or_insert_with(|| {
            adapter.pairs.push(Pair {
                module: module.to_owned(),
                method: Method::Full,
                is_dora: false,
                rank: None,
                scaling: Scaling::default(),
                tensors: Vec::new(),
            });
            adapter.pairs.len() - 1
        });
        adapter.pairs[number].tensors.push((role, place));
        if adapter.naming.is_empty() && role.is_matrix() {
            adapter.naming = naming;
        }
    }
    let is_change = |pair: &Pair| pair.tensors.iter().any(|(role, _)| role.is_matrix());
    adapter.pairs.retain(is_change);
    // Parts trained whole may stand beside the pairs, but a model has more of its own.
    if adapter.pairs.is_empty() || used * 3 < tensors.len() as u64 {
        return None;
    }
    adapter.others = tensors.len() as u64 - used;
    for pair in &mut adapter.pairs {
        complete(pair, tensors);
    }
    let configuration = Configuration::read(checkpoint, beside);
    configuration.apply(&mut adapter);
    adapter.base = base::find(&adapter.pairs, tensors).map(|(base, pair)| {
        let Base { family, name, .. } = base;
        (*family, *name, pair.module.clone())
    });
    Some(adapter)
}

/// Finds out the method and the rank.
fn complete(pair: &mut Pair, tensors: &[Tensor]) {
    let shape = |role: Role| {
        let place = pair.place(role)?;
        Some(tensors.get(place)?.shape.dimensions())
    };
    let rank_of = |role: Role, axis: usize| shape(role)?.get(axis).copied();
    let has = |role: Role| pair.place(role).is_some();
    let (method, rank) = if has(Role::Down) || has(Role::Up) {
        let rank = rank_of(Role::Down, 0).or_else(|| rank_of(Role::Up, 1));
        let is_convolution = shape(Role::Down).is_some_and(|shape| shape.len() > 2);
        match is_convolution || has(Role::Mid) {
            true => (Method::Locon, rank),
            false => (Method::Lora, rank),
        }
    } else if has(Role::EmbeddingDown) {
        (Method::Lora, rank_of(Role::EmbeddingDown, 0))
    } else if has(Role::HadamardA1) {
        (Method::Loha, rank_of(Role::HadamardB1, 0))
    } else if has(Role::Kronecker1) || has(Role::KroneckerA1) {
        let rank = rank_of(Role::KroneckerB2, 0).or_else(|| rank_of(Role::KroneckerB1, 0));
        (Method::Lokr, rank)
    } else if has(Role::Oft) {
        (Method::Oft, None)
    } else if has(Role::Ia3) {
        (Method::Ia3, None)
    } else {
        (Method::Full, None)
    };
    let is_dora = has(Role::Magnitude);
    (pair.method, pair.rank, pair.is_dora) = (method, rank, is_dora);
}

/// PEFT's configuration: beside the file, or in its metadata.
#[derive(Default)]
struct Configuration {
    base_model: Option<String>,
    alpha: Option<f64>,
    is_rank_stabilised: bool,
    /// Alphas of modules whose names match, by patterns as PEFT's `get_pattern_key` has them.
    alphas: Vec<(String, f64)>,
    /// How many patterns are beyond the limit.
    unused_patterns: usize,
}

/// Bytes that one pattern of a configuration may compile to, and that matching it may cache: a
/// dozen Unicode classes. Names of modules, which most patterns are, take 10 kB.
const PATTERN: usize = 256 << 10;

impl Configuration {
    fn read(checkpoint: &Checkpoint, beside: &Beside) -> Configuration {
        let mut configuration = Configuration::default();
        if let Some(config) = &beside.adapter_config {
            configuration.take(config);
        }
        let alpha = |key: &str| {
            let found = checkpoint.metadata.iter().find(|(k, _)| k == key);
            found.and_then(|(_, value)| number(value))
        };
        let own = alpha("adapter.lora.alpha").or_else(|| alpha("lora_alpha"));
        configuration.alpha = configuration.alpha.or(own);
        configuration
    }

    fn take(&mut self, config: &Value) {
        let text = |key: &str| config.get(key).and_then(Value::as_text).map(str::to_owned);
        self.base_model = text("base_model_name_or_path").filter(|name| !name.is_empty());
        self.alpha = config
            .get("lora_alpha")
            .or_else(|| config.get("alpha"))
            .and_then(number);
        self.is_rank_stabilised = config.get("use_rslora") == Some(&Value::Bool(true));
        let Some(Value::Map(patterns)) = config.get("alpha_pattern") else {
            return;
        };
        let used = crate::limits::ADAPTER_PATTERNS;
        self.unused_patterns = patterns.len().saturating_sub(used);
        for (pattern, alpha) in patterns.iter().take(used) {
            if let Some(alpha) = number(alpha) {
                self.alphas.push((pattern.clone(), alpha));
            }
        }
    }

    fn apply(&self, adapter: &mut Adapter) {
        adapter.base_model = self.base_model.clone();
        adapter.unused_patterns = self.unused_patterns;
        let mut own: Vec<Option<f64>> = vec![None; adapter.pairs.len()];
        // One at a time, so that a thousand take no more memory than one.
        for (pattern, alpha) in &self.alphas {
            let anchored = format!("^(?:.*\\.)?(?:{pattern})$");
            let compiled = regex::RegexBuilder::new(&anchored)
                .size_limit(PATTERN)
                .dfa_size_limit(PATTERN)
                .build();
            let Ok(pattern) = compiled else {
                adapter.unused_patterns += 1;
                continue;
            };
            for (own, pair) in own.iter_mut().zip(&adapter.pairs) {
                if own.is_none() && pattern.is_match(names::plain(&pair.module)) {
                    *own = Some(*alpha);
                }
            }
        }
        for (own, pair) in own.into_iter().zip(&mut adapter.pairs) {
            pair.scaling = Scaling {
                alpha: own.or(self.alpha),
                is_rank_stabilised: self.is_rank_stabilised,
            };
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// Fills in what the adapter says.
pub(super) fn describe(identity: &mut Identity, adapter: Adapter) {
    identity.kind = Kind::Adapter;
    if let Some((family, name, module)) = &adapter.base {
        identity.family = Some((*family).to_owned());
        identity.name = Some((*name).to_owned());
        let says = format!("a module of {name}");
        identity.evidence.push(Evidence {
            tensor: Some(module.clone()),
            key: None,
            says,
        });
        let is_language = base::is_language(family);
        identity.domain = Some(match is_language {
            true => Domain::Language,
            false => Domain::Diffusion,
        });
    }
    if let Some(model) = &adapter.base_model {
        let key = "adapter_config.json: base_model_name_or_path";
        identity.evidence.push(Evidence::of_key(key, model));
    }
    if adapter.unused_patterns > 0 {
        let count = adapter.unused_patterns;
        identity.conflicts.push(format!(
            "`adapter_config.json` has patterns in `alpha_pattern` that are left aside, being no \
             regular expressions, too large or too many: {count}"
        ));
    }
    let methods: Vec<&str> = adapter
        .methods()
        .iter()
        .map(|(method, _)| method.name())
        .collect();
    let mut variant = methods.join(" and ");
    if adapter.pairs.iter().any(|pair| pair.is_dora) {
        variant.push_str(" with DoRA");
    }
    identity.variant = Some(variant);
    let mut fact = |name: &str, value: u64| {
        identity.facts.push(Fact {
            name: name.to_owned(),
            value,
            is_proven: true,
        });
    };
    fact("modules", adapter.pairs.len() as u64);
    let ranks = adapter.ranks();
    match ranks.as_slice() {
        [] => {}
        [(rank, _)] => fact("rank", *rank),
        [(least, _), .., (most, _)] => {
            fact("rank_min", *least);
            fact("rank_max", *most);
        }
    }
    identity.adapter = Some(adapter);
}
