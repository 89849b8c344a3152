//! What training programs put beside the model, and which copy of the weights is which: tables.
//!
//! Sources: the savers themselves (Lightning `checkpoint_connector.py`, MMEngine `EMAHook`, timm
//! `checkpoint_saver.py`, fairseq `checkpoint_utils.py`, Ultralytics `trainer.py`, DeepSpeed
//! `engine.py`, Megatron `checkpointing.py`, BasicSR `sr_model.py`, CompVis `ldm/modules/ema.py`).

use crate::model::{Checkpoint, Value};

/// How one training program lays out its checkpoints.
#[derive(Debug)]
pub struct Recipe {
    /// What it is called on the command line.
    pub name: &'static str,
    /// Whose checkpoints they are.
    pub about: &'static str,
    /// By any of which a checkpoint is known to be of this kind.
    marks: &'static [Mark],
    /// Keys of the outermost mapping that go, beside [`KEYS`], with the reason.
    keys: &'static [(&'static str, &'static str)],
    /// Tensors of the model that go.
    pub(super) tensors: &'static [Junk],
    /// Where a second copy of the weights may stand.
    pub(super) averages: &'static [Average],
}

/// What a checkpoint of some kind has.
#[derive(Debug)]
enum Mark {
    /// All of these keys in the outermost mapping.
    Keys(&'static [&'static str]),
    /// A tensor whose name, without the root, starts so.
    Tensor(&'static str),
    /// A key somewhere in the values.
    Value(&'static str),
}

/// Tensors of the model that nobody needs.
#[derive(Debug)]
pub(super) struct Junk {
    /// How their names, without the root, start; or the whole name.
    pub(super) start: &'static str,
    pub(super) reason: &'static str,
}

/// A second copy of the weights.
#[derive(Debug)]
pub(super) struct Average {
    /// How the names of the copy start: from the outermost mapping, or from the root.
    pub(super) prefix: &'static str,
    /// Whether `prefix` stands below the root.
    pub(super) is_below_root: bool,
    /// What the copy's tensors are called.
    pub(super) naming: Naming,
    /// What the root then holds.
    pub(super) root_holds: Copy,
    /// Which of the two programs that load such files take.
    pub(super) auto: Copy,
}

/// How the names of a copy come of the model's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// They are the same, but for wrappers.
    Same,
    /// Without dots, and maybe without a leading `model.` (CompVis `LitEma`).
    Joined,
    /// With `_` for each dot, beside the model's own (MMCV `EMAHook`).
    Underscored,
}

/// One of two copies of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copy {
    /// As the optimizer left them.
    Live,
    /// Their moving average.
    Ema,
}

impl Copy {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Copy::Live => "live",
            Copy::Ema => "ema",
        }
    }

    /// Why a copy that is not wanted is left out.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Copy::Live => "live copy",
            Copy::Ema => "average (EMA)",
        }
    }
}

const OPTIMIZER: &str = "optimizer";
const SCHEDULER: &str = "scheduler";
const SCALER: &str = "gradient scaler";
const RANDOM: &str = "random state";
const HYPERPARAMETERS: &str = "hyperparameters";
const PROGRESS: &str = "progress";
const LOOPS: &str = "loops";
const DATA: &str = "data order";

/// Keys of the outermost mapping that no inference needs, whoever wrote them.
const KEYS: &[(&str, &str)] = &[
    ("optimizer", OPTIMIZER),
    ("optimizers", OPTIMIZER),
    ("optimizer_state", OPTIMIZER),
    ("optimizer_states", OPTIMIZER),
    ("optimizer_state_dict", OPTIMIZER),
    ("optimizers_state_dict", OPTIMIZER),
    ("optim", OPTIMIZER),
    ("optim_state", OPTIMIZER),
    ("optim_state_dict", OPTIMIZER),
    ("opt", OPTIMIZER),
    ("opt_state", OPTIMIZER),
    ("opt_state_dict", OPTIMIZER),
    ("optimizer_g", OPTIMIZER),
    ("optimizer_d", OPTIMIZER),
    ("optim_g", OPTIMIZER),
    ("optim_d", OPTIMIZER),
    ("g_optim", OPTIMIZER),
    ("d_optim", OPTIMIZER),
    ("param_groups", OPTIMIZER),
    ("lr_scheduler", SCHEDULER),
    ("lr_schedulers", SCHEDULER),
    ("lr_scheduler_state_dict", SCHEDULER),
    ("lr_sched", SCHEDULER),
    ("scheduler", SCHEDULER),
    ("schedulers", SCHEDULER),
    ("scheduler_state", SCHEDULER),
    ("scheduler_state_dict", SCHEDULER),
    ("param_schedulers", SCHEDULER),
    ("opt_param_scheduler", SCHEDULER),
    ("lr_scheduler_states", SCHEDULER),
    ("scaler", SCALER),
    ("scaler_state_dict", SCALER),
    ("amp", SCALER),
    ("amp_scaler", SCALER),
    ("grad_scaler", SCALER),
    ("grad_scaler_state", SCALER),
    ("loss_scaler", SCALER),
    ("native_amp_scaling", SCALER),
    ("rng", RANDOM),
    ("rng_state", RANDOM),
    ("rng_states", RANDOM),
    ("random_state", RANDOM),
    ("random_states", RANDOM),
    ("random_rng_state", RANDOM),
    ("numpy_rng_state", RANDOM),
    ("np_rng_state", RANDOM),
    ("torch_rng_state", RANDOM),
    ("cpu_rng_state", RANDOM),
    ("cuda_rng_state", RANDOM),
    ("gpu_rng_state", RANDOM),
    ("callbacks", "callbacks"),
    ("loops", LOOPS),
    ("hyper_parameters", HYPERPARAMETERS),
    ("hparams", HYPERPARAMETERS),
    ("hparams_name", HYPERPARAMETERS),
    ("hparams_type", HYPERPARAMETERS),
    ("datamodule_hyper_parameters", HYPERPARAMETERS),
    ("args", HYPERPARAMETERS),
    ("cfg", HYPERPARAMETERS),
    ("config", HYPERPARAMETERS),
    ("opts", HYPERPARAMETERS),
    ("train_args", HYPERPARAMETERS),
    ("training_args", HYPERPARAMETERS),
    ("message_hub", "message hub"),
    ("epoch", PROGRESS),
    ("epochs", PROGRESS),
    ("step", PROGRESS),
    ("steps", PROGRESS),
    ("global_step", PROGRESS),
    ("iter", PROGRESS),
    ("iteration", PROGRESS),
    ("iterations", PROGRESS),
    ("updates", PROGRESS),
    ("metric", PROGRESS),
    ("metrics", PROGRESS),
    ("loss", PROGRESS),
    ("best", PROGRESS),
    ("best_fitness", PROGRESS),
    ("best_acc1", PROGRESS),
    ("history", PROGRESS),
    ("date", PROGRESS),
    ("sampler", DATA),
    ("data_sampler", DATA),
    ("dataloader", DATA),
    ("train_sampler", DATA),
];

/// A group of its own copy, which holds the average.
const fn ema(prefix: &'static str) -> Average {
    Average {
        prefix,
        is_below_root: false,
        naming: Naming::Same,
        root_holds: Copy::Live,
        auto: Copy::Live,
    }
}

/// As [`ema`], where the programs that load such files take the average.
const fn preferred(prefix: &'static str) -> Average {
    Average {
        auto: Copy::Ema,
        ..ema(prefix)
    }
}

/// A copy that changed places with the average when it was saved.
const fn swapped(prefix: &'static str) -> Average {
    Average {
        root_holds: Copy::Ema,
        auto: Copy::Ema,
        ..ema(prefix)
    }
}

/// Where averages stand, in any program.
const AVERAGES: &[Average] = &[
    ema("ema_state_dict."),
    ema("model_ema."),
    ema("model_ema_state_dict."),
    ema("ema_model."),
    ema("ema_model_state_dict."),
    ema("ema_params."),
    ema("ema_weights."),
    ema("ema_state."),
    ema("ema."),
    ema("state_dict_ema."),
    ema("params_ema."),
    ema("g_ema."),
    ema("generator_ema."),
];

const LIGHTNING_KEYS: &[(&str, &str)] = &[
    ("averaging_state", "average (EMA)"),
    ("pytorch-lightning_version", LOOPS),
    ("MixedPrecision", SCALER),
    ("MixedPrecisionPlugin", SCALER),
    ("NativeMixedPrecisionPlugin", SCALER),
];

/// Lightning's `WeightAveraging` callback puts the average into `state_dict`.
const LIGHTNING_AVERAGES: &[Average] = &[swapped("current_model_state.")];

const fn junk(start: &'static str, reason: &'static str) -> Junk {
    Junk { start, reason }
}

const SCHEDULE: &str = "noise schedule";

/// Why a part of an adapter goes that a merge left behind.
pub(super) const STRAY_LORA: &str = "stray LoRA";

/// Why what an average counts goes.
pub(super) const BOOKKEEPING: &str = "average's bookkeeping";

/// What the samplers compute for themselves. `alphas_cumprod` stays: some read it from the file
/// to recognise schedules that end at zero.
const LDM_JUNK: &[Junk] = &[
    junk("betas", SCHEDULE),
    junk("alphas_cumprod_prev", SCHEDULE),
    junk("sqrt_alphas_cumprod", SCHEDULE),
    junk("sqrt_one_minus_alphas_cumprod", SCHEDULE),
    junk("log_one_minus_alphas_cumprod", SCHEDULE),
    junk("sqrt_recip_alphas_cumprod", SCHEDULE),
    junk("sqrt_recipm1_alphas_cumprod", SCHEDULE),
    junk("posterior_variance", SCHEDULE),
    junk("posterior_log_variance_clipped", SCHEDULE),
    junk("posterior_mean_coef1", SCHEDULE),
    junk("posterior_mean_coef2", SCHEDULE),
    junk("lvlb_weights", SCHEDULE),
    junk("logvar", SCHEDULE),
    junk("denoiser.sigmas", SCHEDULE),
    junk("embedding_manager.", "training of embeddings"),
    junk("lora_te_text_model", STRAY_LORA),
    junk("model_ema.decay", BOOKKEEPING),
    junk("model_ema.num_updates", BOOKKEEPING),
    junk("first_stage_model.loss.", "training loss"),
    junk("loss.", "training loss"),
];

/// Every layout that is known; the first whose marks are found is taken.
pub static RECIPES: &[Recipe] = &[
    Recipe {
        name: "ldm",
        about: "Stable Diffusion and other latent diffusion, in one file",
        marks: &[
            Mark::Tensor("model.diffusion_model."),
            Mark::Tensor("first_stage_model."),
            Mark::Tensor("cond_stage_model."),
            Mark::Tensor("conditioner.embedders."),
        ],
        keys: LIGHTNING_KEYS,
        tensors: LDM_JUNK,
        averages: &[Average {
            is_below_root: true,
            naming: Naming::Joined,
            ..ema("model_ema.")
        }],
    },
    Recipe {
        name: "nemo",
        about: "NVIDIA NeMo: Lightning checkpoints and the weights inside a .nemo",
        marks: &[Mark::Value("nemo_version")],
        keys: LIGHTNING_KEYS,
        tensors: &[],
        averages: LIGHTNING_AVERAGES,
    },
    Recipe {
        name: "lightning",
        about: "PyTorch Lightning",
        marks: &[Mark::Keys(&["pytorch-lightning_version"])],
        keys: LIGHTNING_KEYS,
        tensors: &[],
        averages: LIGHTNING_AVERAGES,
    },
    Recipe {
        name: "openmmlab",
        about: "OpenMMLab (MMEngine, MMCV): their EMA hooks put the average into state_dict",
        marks: &[
            Mark::Keys(&["message_hub"]),
            Mark::Value("mmengine_version"),
            Mark::Value("mmcv_version"),
        ],
        keys: &[("meta", HYPERPARAMETERS)],
        tensors: &[],
        averages: &[
            swapped("ema_state_dict."),
            Average {
                is_below_root: true,
                naming: Naming::Underscored,
                ..swapped("ema_")
            },
        ],
    },
    Recipe {
        name: "yolo",
        about: "Ultralytics YOLO: the average is what detects",
        marks: &[
            Mark::Keys(&["best_fitness"]),
            Mark::Keys(&["ema", "updates"]),
            Mark::Keys(&["model", "train_args"]),
        ],
        keys: &[],
        tensors: &[],
        averages: &[preferred("ema.")],
    },
    Recipe {
        name: "timm",
        about: "timm: the average is what its loader takes",
        marks: &[
            Mark::Keys(&["state_dict_ema"]),
            Mark::Keys(&["arch", "amp_scaler"]),
            Mark::Keys(&["arch", "args", "state_dict"]),
            Mark::Keys(&["arch", "version", "state_dict"]),
        ],
        keys: &[],
        tensors: &[],
        averages: &[preferred("state_dict_ema."), preferred("model_ema.")],
    },
    Recipe {
        name: "fairseq",
        about: "fairseq",
        marks: &[
            Mark::Keys(&["optimizer_history"]),
            Mark::Keys(&["last_optimizer_state"]),
            Mark::Keys(&["task_state", "extra_state"]),
        ],
        keys: &[
            ("last_optimizer_state", OPTIMIZER),
            ("optimizer_history", OPTIMIZER),
            ("extra_state", PROGRESS),
            ("task_state", DATA),
            ("criterion", "training loss"),
        ],
        tensors: &[],
        averages: &[ema("extra_state.ema."), ema("extra_state.ema_fp32_params.")],
    },
    Recipe {
        name: "deepspeed",
        about: "DeepSpeed's module files (mp_rank_XX_model_states.pt)",
        marks: &[
            Mark::Keys(&["ds_version"]),
            Mark::Keys(&["ds_config"]),
            Mark::Keys(&["module", "param_shapes"]),
            Mark::Keys(&["module", "global_steps"]),
        ],
        keys: &[
            ("random_ltd", DATA),
            ("ds_config", HYPERPARAMETERS),
            ("ds_version", HYPERPARAMETERS),
            ("global_steps", PROGRESS),
            ("global_samples", PROGRESS),
            ("skipped_steps", PROGRESS),
        ],
        tensors: &[],
        averages: &[],
    },
    Recipe {
        name: "megatron",
        about: "Megatron-LM (model_optim_rng.pt)",
        marks: &[
            Mark::Keys(&["checkpoint_version", "model"]),
            Mark::Keys(&["rerun_state_machine"]),
        ],
        keys: &[("rerun_state_machine", PROGRESS)],
        tensors: &[],
        averages: &[],
    },
    Recipe {
        name: "detectron2",
        about: "Detectron2 and fvcore",
        marks: &[
            Mark::Keys(&["model", "iteration"]),
            Mark::Keys(&["matching_heuristics"]),
            Mark::Keys(&["model", "__author__"]),
        ],
        keys: &[],
        tensors: &[],
        averages: &[ema("ema_state.")],
    },
    Recipe {
        name: "basicsr",
        about: "BasicSR (Real-ESRGAN, SwinIR): its loaders take params_ema",
        marks: &[Mark::Keys(&["params_ema"])],
        keys: &[],
        tensors: &[],
        averages: &[preferred("params_ema.")],
    },
    Recipe {
        name: "trainer",
        about: "folders of Hugging Face's Trainer and Accelerate",
        marks: &[],
        keys: &[],
        tensors: &[],
        averages: &[],
    },
    Recipe {
        name: "torch",
        about: "what most PyTorch programs write; taken where nothing else fits",
        marks: &[],
        keys: &[],
        tensors: &[],
        averages: &[],
    },
    Recipe {
        name: "none",
        about: "everything is kept, the model without its root's prefix",
        marks: &[],
        keys: &[],
        tensors: &[],
        averages: &[],
    },
];

impl Recipe {
    /// The recipe called `name`.
    pub fn named(name: &str) -> Option<&'static Recipe> {
        RECIPES.iter().find(|recipe| recipe.name == name)
    }

    /// The recipe for `checkpoint`, by what stands in it.
    pub fn of(checkpoint: &Checkpoint) -> &'static Recipe {
        let found = RECIPES.iter().find(|recipe| {
            let mut marks = recipe.marks.iter();
            marks.any(|mark| mark.is_in(checkpoint))
        });
        found
            .or_else(|| Recipe::named("torch"))
            .unwrap_or(&RECIPES[0])
    }

    /// Whether it leaves everything as it is.
    pub fn is_none(&self) -> bool {
        self.name == "none"
    }

    /// Why what stands under `key` of the outermost mapping goes; `None` if nobody knows it.
    pub(super) fn reason_for_key(&self, key: &str) -> Option<&'static str> {
        let mut rows = self.keys.iter().chain(KEYS);
        let row = rows.find(|(name, _)| name.eq_ignore_ascii_case(key));
        row.map(|(_, reason)| *reason)
    }

    /// Why the tensor called `name`, without the root, goes.
    pub(super) fn reason_for_tensor(&self, name: &str) -> Option<&'static str> {
        let is_meant = |junk: &&Junk| match junk.start.ends_with('.') {
            true => name.starts_with(junk.start),
            false => {
                name == junk.start || junk.start.contains("lora") && name.starts_with(junk.start)
            }
        };
        self.tensors.iter().find(is_meant).map(|junk| junk.reason)
    }

    /// Where a second copy may stand: its own places, then those of anybody.
    pub(super) fn all_averages(&self) -> impl Iterator<Item = &'static Average> {
        let own = self.averages;
        let is_new =
            move |other: &&Average| own.iter().all(|average| average.prefix != other.prefix);
        own.iter().chain(AVERAGES.iter().filter(is_new))
    }
}

impl Mark {
    fn is_in(&self, checkpoint: &Checkpoint) -> bool {
        match self {
            Mark::Keys(keys) => keys.iter().all(|key| has_key(checkpoint, key)),
            Mark::Tensor(start) => {
                let root = checkpoint.root.as_ref().map(|root| format!("{root}."));
                checkpoint.tensors.iter().any(|tensor| {
                    let below = root
                        .as_deref()
                        .and_then(|root| tensor.name.strip_prefix(root));
                    below.unwrap_or(&tensor.name).starts_with(start)
                })
            }
            Mark::Value(key) => checkpoint
                .values
                .iter()
                .any(|(name, value)| name == key || holds_key(value, key, 4)),
        }
    }
}

fn has_key(checkpoint: &Checkpoint, key: &str) -> bool {
    let is_group = checkpoint.groups.iter().any(|group| group.key == key);
    is_group || checkpoint.values.iter().any(|(name, _)| name == key)
}

/// Whether a map in `value`, down to `depth`, has `key`.
fn holds_key(value: &Value, key: &str, depth: usize) -> bool {
    match value {
        Value::Map(entries) if depth > 0 => entries
            .iter()
            .any(|(name, value)| name == key || holds_key(value, key, depth - 1)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_recipes_and_keys_occur_once() {
        for (index, recipe) in RECIPES.iter().enumerate() {
            assert!(
                RECIPES[..index]
                    .iter()
                    .all(|other| other.name != recipe.name)
            );
        }
        for (index, (key, _)) in KEYS.iter().enumerate() {
            assert!(KEYS[..index].iter().all(|(other, _)| other != key), "{key}");
        }
    }
}
