//! What a checkpoint is, by names, shapes and metadata alone.
//!
//! Tables of rules say what each kind of model looks like; the first rule that fits is
//! it. A checkpoint may have several parts (a diffusion model with its text encoders and its
//! VAE), each with a prefix of its own. What a file declares about itself is believed where
//! tensors cannot tell, and contradicted where they can.

pub mod adapter;
mod architectures;
mod classic;
mod declared;
mod diffusers;
mod diffusion;
mod gguf;
mod language;
mod names;
pub mod parameters;
mod parts;
mod rule;
pub mod training;
mod upscale;
mod vision;

pub use parameters::Parameters;

use crate::model::{Beside, Checkpoint};
use adapter::Adapter;
use names::Names;

/// What a file is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A model that does something by itself.
    Model,
    /// Small changes to a model: LoRA and its kin.
    Adapter,
    /// An autoencoder of a diffusion model.
    Vae,
    /// What turns text into conditions.
    TextEncoder,
    /// What turns pictures into conditions.
    VisionEncoder,
    /// What turns sound into conditions.
    AudioEncoder,
    /// What steers a diffusion model.
    ControlNet,
    /// Pictures as prompts.
    IpAdapter,
    /// A style as a condition.
    StyleModel,
    /// Layout as a condition.
    Gligen,
    /// What makes an image model one of moving pictures.
    MotionModule,
    /// A network over the conditions of a diffusion model.
    Hypernetwork,
    /// Makes pictures larger.
    Upscaler,
    /// Words of a text encoder's own.
    Embedding,
    /// What an optimizer keeps, without a model.
    Optimizer,
    /// A model with what its training needs to go on.
    TrainingCheckpoint,
    /// A tokenizer without a model.
    Vocabulary,
    /// How much each column matters to a quantiser.
    ImportanceMatrix,
    /// Nobody knows.
    #[default]
    Unknown,
}

impl Kind {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Model => "model",
            Kind::Adapter => "adapter",
            Kind::Vae => "vae",
            Kind::TextEncoder => "text_encoder",
            Kind::VisionEncoder => "vision_encoder",
            Kind::AudioEncoder => "audio_encoder",
            Kind::ControlNet => "controlnet",
            Kind::IpAdapter => "ip_adapter",
            Kind::StyleModel => "style_model",
            Kind::Gligen => "gligen",
            Kind::MotionModule => "motion_module",
            Kind::Hypernetwork => "hypernetwork",
            Kind::Upscaler => "upscaler",
            Kind::Embedding => "embedding",
            Kind::Optimizer => "optimizer",
            Kind::TrainingCheckpoint => "training_checkpoint",
            Kind::Vocabulary => "vocabulary",
            Kind::ImportanceMatrix => "importance_matrix",
            Kind::Unknown => "unknown",
        }
    }

    /// As in "is a VAE".
    pub fn phrase(self) -> &'static str {
        match self {
            Kind::Model => "a model",
            Kind::Adapter => "an adapter",
            Kind::Vae => "a VAE",
            Kind::TextEncoder => "a text encoder",
            Kind::VisionEncoder => "a vision encoder",
            Kind::AudioEncoder => "an audio encoder",
            Kind::ControlNet => "a ControlNet",
            Kind::IpAdapter => "an IP-Adapter",
            Kind::StyleModel => "a style model",
            Kind::Gligen => "a GLIGEN model",
            Kind::MotionModule => "a motion module",
            Kind::Hypernetwork => "a hypernetwork",
            Kind::Upscaler => "an upscaler",
            Kind::Embedding => "an embedding",
            Kind::Optimizer => "an optimizer's state",
            Kind::TrainingCheckpoint => "a training checkpoint",
            Kind::Vocabulary => "a vocabulary",
            Kind::ImportanceMatrix => "an importance matrix",
            Kind::Unknown => "unknown",
        }
    }
}

/// What a model works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Makes pictures, video or sound out of noise.
    Diffusion,
    /// Text.
    Language,
    /// Pictures.
    Vision,
    /// Sound.
    Audio,
}

impl Domain {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Domain::Diffusion => "diffusion",
            Domain::Language => "language",
            Domain::Vision => "vision",
            Domain::Audio => "audio",
        }
    }
}

/// What a checkpoint is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// What it is for.
    pub kind: Kind,
    /// What it works on.
    pub domain: Option<Domain>,
    /// A short stable word for what it is, or of an adapter for what it is made: `sdxl`.
    pub family: Option<String>,
    /// As people call the family.
    pub name: Option<String>,
    /// Which of the family.
    pub variant: Option<String>,
    /// The name that ModelSpec, the library or GGUF has for it.
    pub architecture: Option<String>,
    /// Its parts, the main one first; empty if nothing was recognised.
    pub components: Vec<Component>,
    /// What is proven about the main part, in order: `layers`, `hidden_size`, ...
    pub facts: Vec<Fact>,
    /// How many parameters, and why.
    pub parameters: Parameters,
    /// What decided.
    pub evidence: Vec<Evidence>,
    /// What speaks against itself, one sentence each.
    pub conflicts: Vec<String>,
    /// Of what nobody knows: the rule that came nearest, and what it lacked.
    pub nearest: Option<Nearest>,
    /// Of an adapter: its pairs.
    pub adapter: Option<Adapter>,
}

/// One part of a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// What it is for.
    pub kind: Kind,
    /// What it works on.
    pub domain: Domain,
    /// A short stable word.
    pub family: &'static str,
    /// As people call it.
    pub name: &'static str,
    /// Which of the family.
    pub variant: Option<&'static str>,
    /// ModelSpec's name for it.
    pub architecture: Option<&'static str>,
    /// What its rule asks, in the words of the tables.
    pub rule: &'static [&'static str],
    /// What stands before the names of its tensors.
    pub prefix: String,
    /// How many tensors stand there.
    pub tensors: u64,
    /// Elements stored there.
    pub elements: u64,
    /// What its shapes prove.
    pub facts: Vec<Fact>,
    /// The tensors that decided.
    pub evidence: Vec<Evidence>,
}

/// A number and what says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it is: `layers`, `hidden_size`.
    pub name: String,
    /// How many.
    pub value: u64,
    /// Whether tensors prove it; otherwise a configuration or metadata says so.
    pub is_proven: bool,
}

/// Why something is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The tensor that says so.
    pub tensor: Option<String>,
    /// The key of the metadata, or the file, that says so.
    pub key: Option<String>,
    /// What it says: a shape, a value.
    pub says: String,
}

impl Evidence {
    fn of_key(key: impl Into<String>, says: impl Into<String>) -> Evidence {
        Evidence {
            tensor: None,
            key: Some(key.into()),
            says: says.into(),
        }
    }
}

/// The rule that came nearest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nearest {
    /// As people call it.
    pub name: &'static str,
    /// The tests that failed, in the words of the table.
    pub lacks: Vec<String>,
}

/// One rule of the tables: what can be recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// What it is for.
    pub kind: Kind,
    /// A short stable word.
    pub family: &'static str,
    /// As people call it.
    pub name: &'static str,
    /// What it asks, in the words of the tables.
    pub rule: &'static [&'static str],
    /// What may be told apart within the family.
    pub variants: Vec<&'static str>,
}

/// All that names and shapes tell, in the order in which it is tried.
pub fn known() -> Vec<Known> {
    parts::rules().map(Known::of).collect()
}

/// Says what `checkpoint` is. `beside`: the small files that lie with it.
pub fn identify(checkpoint: &Checkpoint, beside: &Beside) -> Identity {
    let names = Names::new(&checkpoint.tensors);
    let mut identity = Identity::default();
    if let Some(adapter) = adapter::recognise(checkpoint, beside) {
        adapter::describe(&mut identity, adapter);
    } else {
        let outer = parts::outer_prefix(checkpoint, &names);
        let components = parts::find(&names, &outer);
        parts::describe(&mut identity, components);
        gguf::describe(&mut identity, checkpoint, &names);
        if identity.kind == Kind::Unknown {
            parts::describe_training(&mut identity, checkpoint, &names);
        }
        parts::add_training(&mut identity, checkpoint);
        if identity.kind == Kind::Unknown && !checkpoint.tensors.is_empty() {
            identity.nearest = parts::nearest(&names, &outer);
        }
    }
    declared::add(&mut identity, checkpoint, beside);
    identity.parameters = parameters::count(checkpoint, beside);
    identity
}
