//! What a checkpoint is, as JSON and as facts.

use super::adapter::PairEntry;
use super::json::Number;
use ckpt::op::identity::adapter::{Adapter, Health};
use ckpt::op::identity::{Component, Evidence, Fact, Identity, Kind, Parameters};
use ckpt::text::{grouped, human_bytes, human_count};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// Components, ranks and the like that one line lists.
const LISTED: usize = 8;

/// Parameters from which on it matters how much memory they take.
const LARGE: u64 = 1_000_000;

/// The object under `identity`.
#[derive(Serialize)]
pub(crate) struct IdentityEntry<'a> {
    kind: &'static str,
    family: Option<&'a str>,
    variant: Option<&'a str>,
    architecture: Option<&'a str>,
    components: Vec<ComponentEntry<'a>>,
    facts: Numbers<'a>,
    parameters: ParametersEntry<'a>,
    evidence: Vec<EvidenceEntry<'a>>,
    name: Option<&'a str>,
    domain: Option<&'static str>,
    conflicts: &'a [String],
    nearest: Option<NearestEntry<'a>>,
    adapter: Option<AdapterEntry<'a>>,
}

impl<'a> IdentityEntry<'a> {
    /// `health`: what an adapter's values are like, if they were read.
    pub(crate) fn new(identity: &'a Identity, health: Option<&'a Health>) -> IdentityEntry<'a> {
        let adapter = identity.adapter.as_ref();
        IdentityEntry {
            kind: identity.kind.name(),
            family: identity.family.as_deref(),
            variant: identity.variant.as_deref(),
            architecture: identity.architecture.as_deref(),
            components: identity
                .components
                .iter()
                .map(ComponentEntry::new)
                .collect(),
            facts: Numbers(&identity.facts),
            parameters: ParametersEntry::new(&identity.parameters),
            evidence: identity.evidence.iter().map(EvidenceEntry::new).collect(),
            name: identity.name.as_deref(),
            domain: identity.domain.map(|domain| domain.name()),
            conflicts: &identity.conflicts,
            nearest: identity.nearest.as_ref().map(|nearest| NearestEntry {
                name: nearest.name,
                lacks: &nearest.lacks,
            }),
            adapter: adapter.map(|adapter| AdapterEntry::new(adapter, health)),
        }
    }
}

/// Facts as an object of numbers.
struct Numbers<'a>(&'a [Fact]);

impl Serialize for Numbers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for fact in self.0 {
            map.serialize_entry(&fact.name, &fact.value)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct ComponentEntry<'a> {
    kind: &'static str,
    family: &'static str,
    variant: Option<&'static str>,
    architecture: Option<&'static str>,
    prefix: &'a str,
    tensors: u64,
    elements: u64,
    facts: Numbers<'a>,
    name: &'static str,
}

impl<'a> ComponentEntry<'a> {
    fn new(component: &'a Component) -> ComponentEntry<'a> {
        ComponentEntry {
            kind: component.kind.name(),
            family: component.family,
            variant: component.variant,
            architecture: component.architecture,
            prefix: &component.prefix,
            tensors: component.tensors,
            elements: component.elements,
            facts: Numbers(&component.facts),
            name: component.name,
        }
    }
}

#[derive(Serialize)]
struct ParametersEntry<'a> {
    stored: u64,
    logical: u64,
    declared: Vec<DeclaredEntry<'a>>,
    differences: Vec<StepEntry<'a>>,
    memory: Vec<MemoryEntry>,
}

#[derive(Serialize)]
struct DeclaredEntry<'a> {
    key: &'a str,
    value: &'a str,
}

#[derive(Serialize)]
struct StepEntry<'a> {
    why: &'a str,
    tensors: u64,
    stored: u64,
    logical: u64,
}

#[derive(Serialize)]
struct MemoryEntry {
    dtype: &'static str,
    bytes: u64,
}

impl<'a> ParametersEntry<'a> {
    fn new(parameters: &'a Parameters) -> ParametersEntry<'a> {
        let declared = parameters.declared.iter();
        let steps = parameters.steps.iter();
        let memory = parameters.memory.iter();
        ParametersEntry {
            stored: parameters.stored,
            logical: parameters.logical,
            declared: declared
                .map(|(key, value)| DeclaredEntry { key, value })
                .collect(),
            differences: steps
                .map(|step| StepEntry {
                    why: &step.why,
                    tensors: step.tensors,
                    stored: step.stored,
                    logical: step.logical,
                })
                .collect(),
            memory: memory
                .map(|&(dtype, bytes)| MemoryEntry { dtype, bytes })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct EvidenceEntry<'a> {
    tensor: Option<&'a str>,
    key: Option<&'a str>,
    says: &'a str,
}

impl<'a> EvidenceEntry<'a> {
    fn new(evidence: &'a Evidence) -> EvidenceEntry<'a> {
        EvidenceEntry {
            tensor: evidence.tensor.as_deref(),
            key: evidence.key.as_deref(),
            says: &evidence.says,
        }
    }
}

#[derive(Serialize)]
struct NearestEntry<'a> {
    name: &'static str,
    lacks: &'a [String],
}

#[derive(Serialize)]
struct AdapterEntry<'a> {
    naming: &'static str,
    base_model: Option<&'a str>,
    modules: usize,
    others: u64,
    methods: Vec<CountEntry<'static>>,
    ranks: Vec<RankEntry>,
    touched: Vec<CountEntry<'a>>,
    norm: Option<Number>,
    median: Option<Number>,
    pairs: Option<Vec<PairEntry<'a>>>,
}

#[derive(Serialize)]
struct CountEntry<'a> {
    name: std::borrow::Cow<'a, str>,
    modules: usize,
}

#[derive(Serialize)]
struct RankEntry {
    rank: u64,
    modules: usize,
}

impl<'a> AdapterEntry<'a> {
    fn new(adapter: &'a Adapter, health: Option<&'a Health>) -> AdapterEntry<'a> {
        let pairs = health.map(|health| adapter.pairs.iter().zip(&health.modules));
        let methods = adapter.methods().into_iter();
        let ranks = adapter.ranks().into_iter();
        let touched = adapter.touched().into_iter();
        AdapterEntry {
            naming: adapter.naming,
            base_model: adapter.base_model.as_deref(),
            modules: adapter.pairs.len(),
            others: adapter.others,
            methods: methods
                .map(|(method, modules)| CountEntry {
                    name: method.name().into(),
                    modules,
                })
                .collect(),
            ranks: ranks
                .map(|(rank, modules)| RankEntry { rank, modules })
                .collect(),
            touched: touched
                .map(|(name, modules)| CountEntry {
                    name: name.into(),
                    modules,
                })
                .collect(),
            norm: health.map(|health| Number(health.total)),
            median: health.and_then(|health| health.median).map(Number),
            pairs: pairs.map(|pairs| pairs.map(PairEntry::new).collect()),
        }
    }
}

/// Whether quantisation makes parameters and elements differ, not only a few single values.
pub(crate) fn is_packed(parameters: &Parameters) -> bool {
    parameters
        .steps
        .iter()
        .any(|step| step.stored > step.tensors)
}

/// What it is, in a few lines.
pub(crate) fn lines(identity: &Identity) -> Vec<(String, String)> {
    let mut lines: Vec<(String, String)> = Vec::new();
    let mut add = |key: &str, value: String| lines.push((key.to_owned(), value));
    add("identity", sentence(identity));
    if identity.components.len() > 1 {
        let parts = identity.components.iter().take(LISTED).map(part);
        add("parts", parts.collect::<Vec<_>>().join("; "));
    }
    if let Some(adapter) = &identity.adapter {
        add("changes", changes(adapter));
    }
    let facts = identity.facts.iter().map(|fact| {
        let value = grouped(fact.value);
        format!("{} {value}", fact.name.replace('_', " "))
    });
    let facts: Vec<String> = facts.collect();
    if !facts.is_empty() {
        add("facts", facts.join(", "));
    }
    if is_packed(&identity.parameters) {
        add("counted", counted(&identity.parameters));
    }
    if identity.kind != Kind::Adapter && identity.parameters.logical >= LARGE {
        add("memory", memory(&identity.parameters));
    }
    lines.retain(|(_, value)| !value.is_empty());
    lines
}

fn sentence(identity: &Identity) -> String {
    let Some(name) = identity.name.as_deref() else {
        return match (identity.kind, &identity.nearest) {
            (Kind::Unknown, Some(nearest)) => {
                let lacks: Vec<String> = nearest
                    .lacks
                    .iter()
                    .take(2)
                    .map(|test| spell(test))
                    .collect();
                format!(
                    "unknown; nearest is {}, but {}",
                    nearest.name,
                    lacks.join(" and ")
                )
            }
            (kind, _) => with_architecture(kind.phrase().to_owned(), identity),
        };
    };
    let mut text = match identity.kind {
        Kind::Model => name.to_owned(),
        Kind::Adapter => format!("an adapter for {name}"),
        // These names say themselves what they are.
        _ if name.contains(' ')
            && !identity.components.is_empty()
            && identity.kind != Kind::TrainingCheckpoint =>
        {
            name.to_owned()
        }
        kind => format!("{} of {name}", kind.phrase()),
    };
    if let Some(variant) = &identity.variant {
        text.push_str(&format!(", {variant}"));
    }
    with_architecture(text, identity)
}

fn with_architecture(mut text: String, identity: &Identity) -> String {
    if let Some(architecture) = &identity.architecture {
        text.push_str(&format!(" ({architecture})"));
    }
    text
}

/// A test of a table that failed, as people say it.
fn spell(test: &str) -> String {
    let first = test.split(" | ").next().unwrap_or(test);
    if let Some(name) = first.strip_prefix('!') {
        return format!("has `{name}`");
    }
    if let Some((name, least)) = first.split_once(">=") {
        return format!("`{name}` is not {least} or more");
    }
    match (first.split_once('='), first.rsplit_once(':')) {
        (Some((name, value)), _) => {
            format!("`{name}` is not {}", value.replace(',', " or "))
        }
        (None, Some((name, rank))) => format!("`{name}` does not have {rank} dimensions"),
        (None, None) => format!("has no `{first}`"),
    }
}

fn part(component: &Component) -> String {
    let variant = component.variant.map(|variant| format!(", {variant}"));
    let elements = human_count(component.elements);
    format!(
        "{}{} ({elements})",
        component.name,
        variant.unwrap_or_default()
    )
}

fn changes(adapter: &Adapter) -> String {
    let touched = adapter.touched();
    let touched = touched.iter().map(|(part, count)| match count {
        1 => format!("1 module of {part}"),
        count => format!("{} modules of {part}", grouped(*count as u64)),
    });
    let mut text = touched.collect::<Vec<_>>().join(", ");
    text.push_str(&format!("; names as {} writes them", adapter.naming));
    if let Some(base) = &adapter.base_model {
        text.push_str(&format!("; made for `{base}`"));
    }
    text
}

fn counted(parameters: &Parameters) -> String {
    let steps = parameters.steps.iter().map(|step| match step.logical {
        0 => format!(
            "{} in {} tensors left out: {}",
            human_count(step.stored),
            grouped(step.tensors),
            step.why
        ),
        _ => format!(
            "{} elements are {} parameters: {}",
            human_count(step.stored),
            human_count(step.logical),
            step.why
        ),
    });
    steps.collect::<Vec<_>>().join("; ")
}

fn memory(parameters: &Parameters) -> String {
    let words = parameters
        .memory
        .iter()
        .map(|(name, bytes)| format!("{name} {}", human_bytes(*bytes)));
    words.collect::<Vec<_>>().join(", ")
}
