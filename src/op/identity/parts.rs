//! The parts of a checkpoint, and what the whole is by them.

use super::names::Names;
use super::rule::{Place, Rule};
use super::{Component, Domain, Evidence, Fact, Identity, Kind, Known, Nearest};
use super::{classic, diffusers, diffusion, language, upscale, vision};
use crate::model::{Checkpoint, Tensor};
use std::cmp::Reverse;

/// One table and where its models stand.
struct Table {
    rules: &'static [Rule],
    prefixes: &'static [&'static str],
    /// Whether there may be several, each with a prefix of its own.
    is_repeated: bool,
}

/// In this order; what one table has recognised the later ones leave alone.
const TABLES: &[Table] = &[
    table(diffusion::CONTROLS, &["control_model.", "controlnet.", ""]),
    table(diffusion::RULES, diffusion::PREFIXES),
    Table {
        rules: diffusers::RULES,
        prefixes: diffusers::PREFIXES,
        is_repeated: true,
    },
    table(language::VISION_LANGUAGE, &["", "text_encoder."]),
    Table {
        rules: classic::RULES,
        prefixes: classic::PREFIXES,
        is_repeated: true,
    },
    Table {
        rules: vision::RULES,
        prefixes: classic::PREFIXES,
        is_repeated: true,
    },
    Table {
        rules: language::RULES,
        prefixes: language::PREFIXES,
        is_repeated: false,
    },
    table(upscale::RULES, classic::PART_PREFIXES),
    Table {
        rules: classic::PARTS,
        prefixes: classic::PART_PREFIXES,
        is_repeated: true,
    },
];

/// Where text encoders that are language models stand beside a diffusion model.
const ENCODER_PREFIXES: &[&str] = &[
    "text_encoder.model.",
    "text_encoder.",
    "text_encoder_2.model.",
    "text_encoder_4.model.",
    "text_encoders.qwen25_7b.transformer.model.",
    "text_encoders.gemma2_2b.transformer.model.",
    "text_encoders.llama.transformer.model.",
    "text_encoders.qwen3_4b.transformer.model.",
    "text_encoders.qwen3_06b.transformer.model.",
];

/// Wrappers that trainers leave before every name.
const WRAPPERS: &[&str] = &[
    "module.",
    "_orig_mod.",
    "model._orig_mod.",
    "model.module.",
    "ema_model.",
    "_model.",
    "net.",
    "network.",
    "student.",
    "teacher.",
];

const fn table(rules: &'static [Rule], prefixes: &'static [&'static str]) -> Table {
    Table {
        rules,
        prefixes,
        is_repeated: false,
    }
}

/// All rules, in the order of the tables.
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    TABLES.iter().flat_map(|table| table.rules)
}

impl Known {
    pub(super) fn of(rule: &'static Rule) -> Known {
        Known {
            kind: rule.kind,
            family: rule.family,
            name: rule.name,
            rule: rule.tests,
            variants: rule.variants.iter().map(|(name, _, _)| *name).collect(),
        }
    }
}

/// What stands before every name: the root of a training checkpoint, a trainer's wrapper.
pub(super) fn outer_prefix(checkpoint: &Checkpoint, names: &Names<'_>) -> String {
    let mut outer = match &checkpoint.root {
        Some(root) => format!("{root}."),
        None => String::new(),
    };
    let all = names.below(&outer).len();
    while let Some(wrapper) = WRAPPERS.iter().find(|wrapper| {
        let below = names.below(&format!("{outer}{wrapper}")).len();
        below > 0 && below * 10 >= all * 9
    }) {
        outer.push_str(wrapper);
    }
    outer
}

/// All parts that a rule knows, in the order of the tables.
pub(super) fn find(names: &Names<'_>, outer: &str) -> Vec<Component> {
    let mut found: Vec<Component> = Vec::new();
    for table in TABLES {
        for prefix in table.prefixes {
            let prefix = format!("{outer}{prefix}");
            if found.iter().any(|component| component.prefix == prefix) {
                continue;
            }
            if let Some(component) = first(table.rules, names, prefix) {
                // A text encoder that is a language model is not both.
                let is_within = |whole: &Component| {
                    whole.family == component.family && component.prefix.starts_with(&whole.prefix)
                };
                if found.iter().any(is_within) {
                    continue;
                }
                found.push(component);
                if !table.is_repeated {
                    break;
                }
            }
        }
    }
    let is_diffusion = |component: &Component| component.domain == Domain::Diffusion;
    if found.iter().any(is_diffusion) {
        for prefix in ENCODER_PREFIXES {
            let prefix = format!("{outer}{prefix}");
            let encoder = first(language::RULES, names, prefix);
            found.extend(encoder.map(|encoder| Component {
                kind: Kind::TextEncoder,
                ..encoder
            }));
        }
    }
    found
}

/// The first of `rules` that fits below `prefix`.
fn first(rules: &'static [Rule], names: &Names<'_>, prefix: String) -> Option<Component> {
    let below = names.below(&prefix);
    if below.is_empty() {
        return None;
    }
    let place = Place {
        names,
        prefix: &prefix,
    };
    let mut evidence = Vec::new();
    let rule = rules.iter().find(|rule| {
        evidence.clear();
        place.holds(rule.tests, &mut evidence)
    })?;
    let variant = rule
        .variants
        .iter()
        .find(|(_, _, tests)| place.holds(tests, &mut evidence));
    let measured = rule.facts.iter().filter_map(|(name, measure)| {
        Some(Fact {
            name: (*name).to_owned(),
            value: place.measure(measure)?,
            is_proven: true,
        })
    });
    let mut facts: Vec<Fact> = measured.collect();
    facts.extend(heads(&facts));
    let elements = below.iter().filter(|(_, tensor)| tensor.tied_to.is_none());
    let elements = elements.map(|(_, tensor)| tensor.elements());
    Some(Component {
        kind: rule.kind,
        domain: rule.domain,
        family: rule.family,
        name: rule.name,
        variant: variant.map(|(name, _, _)| *name),
        architecture: variant.map(|(_, id, _)| *id).filter(|id| !id.is_empty()),
        rule: rule.tests,
        tensors: below.len() as u64,
        elements: elements.fold(0, u64::saturating_add),
        facts,
        evidence: evidence.into_iter().map(of_tensor).collect(),
        prefix,
    })
}

/// How many heads there are, where the norms prove how large one is.
fn heads(facts: &[Fact]) -> Vec<Fact> {
    let value = |name: &str| {
        facts
            .iter()
            .find(|fact| fact.name == name)
            .map(|fact| fact.value)
    };
    let count = |name: &str, size: &str| {
        let (size, head) = (value(size)?, value("head_dimension")?);
        (head > 0 && size % head == 0).then(|| Fact {
            name: name.to_owned(),
            value: size / head,
            is_proven: true,
        })
    };
    let names = [("heads", "query_size"), ("key_value_heads", "key_size")];
    names
        .iter()
        .filter_map(|(name, size)| count(name, size))
        .collect()
}

fn of_tensor(tensor: &Tensor) -> Evidence {
    Evidence {
        tensor: Some(tensor.name.clone()),
        key: None,
        says: format!("{} {}", tensor.dtype, tensor.shape),
    }
}

/// How much a part says about the whole; the least comes first.
fn weight(component: &Component) -> usize {
    match (component.kind, component.domain) {
        (Kind::ControlNet | Kind::IpAdapter | Kind::StyleModel | Kind::Gligen, _) => 0,
        (Kind::Model, Domain::Diffusion) => 1,
        (Kind::MotionModule, _) => 2,
        (Kind::Model, _) => 3,
        (Kind::TextEncoder, _) => 4,
        (Kind::VisionEncoder | Kind::AudioEncoder, _) => 5,
        (Kind::Vae, _) => 6,
        _ => 7,
    }
}

/// Fills in what the parts say.
pub(super) fn describe(identity: &mut Identity, mut components: Vec<Component>) {
    // Stable: of equal ones the first of the tables leads.
    components.sort_by_key(weight);
    let Some(main) = components.first() else {
        return;
    };
    identity.kind = main.kind;
    identity.domain = Some(main.domain);
    identity.family = Some(main.family.to_owned());
    identity.name = Some(main.name.to_owned());
    identity.variant = main.variant.map(str::to_owned);
    identity.architecture = main.architecture.map(str::to_owned);
    identity.facts = main.facts.clone();
    let evidence = components.iter().flat_map(|part| part.evidence.clone());
    identity.evidence = evidence.collect();
    identity.components = components;
}

/// Ends of the names that optimizers give to what they keep.
const MOMENTS: &[&str] = &[
    ".exp_avg",
    ".exp_avg_sq",
    ".momentum_buffer",
    ".square_avg",
    ".max_exp_avg_sq",
];

/// Recognises an optimizer's state without a model.
pub(super) fn describe_training(
    identity: &mut Identity,
    checkpoint: &Checkpoint,
    names: &Names<'_>,
) {
    let is_moment = |tensor: &&Tensor| MOMENTS.iter().any(|end| tensor.name.ends_with(end));
    let moments: Vec<&Tensor> = checkpoint.tensors.iter().filter(is_moment).collect();
    // Steps stand beside the moments.
    if moments.len() * 2 < names.len() || moments.is_empty() {
        return;
    }
    identity.kind = Kind::Optimizer;
    identity.evidence = moments.into_iter().take(2).map(of_tensor).collect();
}

/// Marks a model that has its optimizer beside it.
pub(super) fn add_training(identity: &mut Identity, checkpoint: &Checkpoint) {
    let is_training = |key: &str| {
        key.starts_with("optimizer") || key.starts_with("lr_scheduler") || key == "optim"
    };
    let group = checkpoint
        .groups
        .iter()
        .find(|group| is_training(&group.key));
    let value = checkpoint.values.iter().find(|(key, _)| is_training(key));
    let key = match (&checkpoint.root, group, value) {
        (Some(_), Some(group), _) => &group.key,
        (Some(_), None, Some((key, _))) => key,
        _ => return,
    };
    identity.kind = Kind::TrainingCheckpoint;
    let says = "what an optimizer or a scheduler keeps";
    identity.evidence.push(Evidence::of_key(key, says));
}

/// How much of a rule holds, how little fails, and whether it is of a model.
type Rank = (usize, Reverse<usize>, bool);

/// The rule of which most holds, if any of it does. Of two that are as near, a model is likelier
/// than what steers one.
pub(super) fn nearest(names: &Names<'_>, outer: &str) -> Option<Nearest> {
    let mut best: Option<(Rank, &Rule, String)> = None;
    for table in TABLES {
        for prefix in table.prefixes {
            let prefix = format!("{outer}{prefix}");
            if names.below(&prefix).is_empty() {
                continue;
            }
            let place = Place {
                names,
                prefix: &prefix,
            };
            for rule in table.rules {
                let (held, failed) = likeness(rule, place);
                let rank = (held, Reverse(failed), rule.kind == Kind::Model);
                let is_better = best.as_ref().is_none_or(|(other, _, _)| rank > *other);
                if held > 0 && is_better {
                    best = Some((rank, rule, prefix.clone()));
                }
            }
        }
    }
    let (_, rule, prefix) = best?;
    let place = Place {
        names,
        prefix: &prefix,
    };
    let failed = rule
        .tests
        .iter()
        .filter(|test| !place.test(test, &mut Vec::new()));
    Some(Nearest {
        name: rule.name,
        lacks: failed.map(|test| (*test).to_owned()).collect(),
    })
}

/// How much of a rule holds, and how many of its tests do not. A size says twice as much as a
/// name, and that something is absent says nothing.
fn likeness(rule: &Rule, place: Place<'_>) -> (usize, usize) {
    let (mut held, mut failed) = (0, 0);
    for test in rule.tests {
        let mut evidence = Vec::new();
        match place.test(test, &mut evidence) {
            true if evidence.is_empty() => {}
            true if test.contains('=') => held += 2,
            true => held += 1,
            false => failed += 1,
        }
    }
    (held, failed)
}
