//! How many parameters: as stored, as meant, as declared, and why these differ.
//!
//! Quantised checkpoints pack several values into one element and keep scales beside them.
//! Elements are unpacked and scales left out as the Hub's pages count them.
//! Source: huggingface.js, `parse-safetensors-metadata.ts`; for `weight_scale_2`, `scaled_fp8`
//! and the like, ComfyUI, `comfy/quant_ops.py`.

use crate::dtype::DType;
use crate::model::{Beside, Checkpoint, Tensor, Value};
use std::collections::{HashMap, HashSet};

/// How many parameters there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// Elements in the file, those of tied tensors once.
    pub stored: u64,
    /// Parameters of the model.
    pub logical: u64,
    /// What the file or what lies beside it says: where, and what.
    pub declared: Vec<(String, String)>,
    /// What makes the first two differ.
    pub steps: Vec<Step>,
    /// Bytes that the parameters take at a dtype, and as they are stored last.
    pub memory: Vec<(&'static str, u64)>,
}

/// Tensors that do not count as many parameters as they have elements.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Why, as a sentence goes on: `packed, 8 to an element (gptq, 4 bits)`.
    pub why: String,
    /// How many tensors.
    pub tensors: u64,
    /// Their elements.
    pub stored: u64,
    /// The parameters that they stand for.
    pub logical: u64,
}

/// Last parts of the names of what stands beside a quantised weight.
const BESIDE_WEIGHT: &[&str] = &[
    "weight_scale",
    "weight_scale_inv",
    "weight_scale_2",
    "weight_global_scale",
    "weight_zero_point",
    "weight_shape",
    "weight_g_idx",
    "input_scale",
    "input_global_scale",
    "input_zero_point",
    "zero_point",
    "scale_weight",
    "scale_input",
    "pre_quant_scale",
    "comfy_quant",
    "SCB",
];

/// Last parts of the names of what bitsandbytes keeps below a weight's name.
const BELOW_WEIGHT: &[&str] = &["absmax", "quant_map", "nested_absmax", "nested_quant_map"];

/// Keys under which a count is declared.
const DECLARED: &[&str] = &[
    "general.parameter_count",
    "general.size_label",
    "total_parameters",
];

/// Bits of a parameter, as people load models.
const DTYPES: &[(&str, u64)] = &[("F32", 32), ("BF16", 16), ("F8", 8), ("4 bits", 4)];

/// Counts the parameters of the model in `checkpoint`: of its root, if it has one.
pub(super) fn count(checkpoint: &Checkpoint, beside: &Beside) -> Parameters {
    let scheme = Scheme::read(beside.config.as_ref());
    let root = checkpoint.root.as_ref().map(|root| format!("{root}."));
    let counted = |tensor: &&Tensor| {
        let is_inside = root
            .as_ref()
            .is_none_or(|root| tensor.name.starts_with(root));
        is_inside && tensor.tied_to.is_none()
    };
    let tensors = || checkpoint.tensors.iter().filter(counted);
    let names: HashSet<&str> = match tensors().any(may_be_packed) {
        true => tensors().map(|tensor| tensor.name.as_str()).collect(),
        false => HashSet::new(),
    };
    let mut parameters = Parameters::default();
    let mut bytes = 0u64;
    for tensor in tensors() {
        let stored = tensor.elements();
        let (logical, why) = match scheme.meaning(tensor, &names) {
            Meaning::Plain => (stored, None),
            Meaning::Packed(times, by, why) => (stored.saturating_mul(times) / by, Some(why)),
            Meaning::Auxiliary(why) => (0, Some(why.to_owned())),
        };
        parameters.stored = parameters.stored.saturating_add(stored);
        parameters.logical = parameters.logical.saturating_add(logical);
        bytes = bytes.saturating_add(crate::op::inspect::stored_bytes(tensor).unwrap_or(0));
        if let Some(why) = why {
            parameters.add_step(why, stored, logical);
        }
    }
    for key in DECLARED {
        let found = checkpoint.metadata.iter().find(|(k, _)| k == key);
        if let Some(text) = found.and_then(|(_, value)| value.scalar_text()) {
            parameters.declared.push(((*key).to_owned(), text));
        }
    }
    if parameters.logical > 0 {
        let logical = parameters.logical;
        let at = |bits: u64| {
            u64::try_from((u128::from(logical) * u128::from(bits)).div_ceil(8)).unwrap_or(u64::MAX)
        };
        parameters.memory = DTYPES
            .iter()
            .map(|(name, bits)| (*name, at(*bits)))
            .collect();
        parameters.memory.push(("as stored", bytes));
    }
    parameters
}

impl Parameters {
    fn add_step(&mut self, why: String, stored: u64, logical: u64) {
        let place = self.steps.iter().position(|step| step.why == why);
        let place = place.unwrap_or_else(|| {
            self.steps.push(Step {
                why,
                tensors: 0,
                stored: 0,
                logical: 0,
            });
            self.steps.len() - 1
        });
        let step = &mut self.steps[place];
        step.tensors += 1;
        step.stored = step.stored.saturating_add(stored);
        step.logical = step.logical.saturating_add(logical);
    }
}

/// What the elements of a tensor stand for.
enum Meaning {
    Plain,
    /// So many parameters for so many elements, and why.
    Packed(u64, u64, String),
    /// None.
    Auxiliary(&'static str),
}

/// Whether a tensor's dtype or name says that the checkpoint is quantised.
fn may_be_packed(tensor: &Tensor) -> bool {
    matches!(
        tensor.dtype,
        DType::U8
            | DType::I8
            | DType::I32
            | DType::U32
            | DType::F8E4M3
            | DType::F8E5M2
            | DType::F8E8M0
    ) || tensor.name.ends_with("scaled_fp8")
}

/// How a checkpoint was quantised, as its configuration says.
#[derive(Default)]
struct Scheme {
    method: Option<String>,
    bits: Option<u64>,
    /// Bits of modules that have others than the rest, by their names: MLX's mixtures.
    modules: HashMap<String, u64>,
}

impl Scheme {
    fn read(config: Option<&Value>) -> Scheme {
        let quantization = config.and_then(|config| {
            let inner = || config.get("text_config")?.get("quantization_config");
            config
                .get("quantization_config")
                .or_else(inner)
                .or_else(|| config.get("quantization"))
        });
        let Some(quantization) = quantization else {
            return Scheme::default();
        };
        let group = || {
            let Some(Value::Map(groups)) = quantization.get("config_groups") else {
                return None;
            };
            groups.first()?.1.get("weights")?.get("num_bits")?.as_u64()
        };
        let number = |key: &str| quantization.get(key)?.as_u64();
        let bits = number("bits").or_else(|| number("w_bit")).or_else(group);
        let method = quantization.get("quant_method").and_then(Value::as_text);
        let is_sane = |bits: &u64| (1..=32).contains(bits);
        let mut modules = HashMap::new();
        if let Value::Map(entries) = quantization {
            for (module, value) in entries {
                let bits = value.get("bits").and_then(Value::as_u64);
                if let Some(bits) = bits.filter(is_sane) {
                    modules.insert(module.clone(), bits);
                }
            }
        }
        Scheme {
            method: method.map(str::to_owned),
            bits: bits.filter(is_sane),
            modules,
        }
    }

    fn meaning(&self, tensor: &Tensor, names: &HashSet<&str>) -> Meaning {
        if tensor.shape.rank() == 0 {
            return Meaning::Auxiliary("single values");
        }
        if names.is_empty() {
            return Meaning::Plain;
        }
        const SCALES: &str = "scales and their kin";
        let name = tensor.name.as_str();
        let (stem, last) = name.rsplit_once('.').unwrap_or(("", name));
        let has = |last: &str| names.contains(format!("{stem}.{last}").as_str());
        let has_weight = || {
            ["weight", "weight_packed", "qweight"]
                .iter()
                .any(|last| has(last))
        };
        match last {
            "qweight" | "weight_packed" => return self.packed(tensor, stem, last),
            "qzeros" | "g_idx" if has("qweight") => return Meaning::Auxiliary(SCALES),
            // SVDQuant, as Nunchaku stores it.
            "wscales" | "wtscale" | "wcscales" | "smooth_factor" | "smooth_factor_orig"
                if has("qweight") =>
            {
                return Meaning::Auxiliary(SCALES);
            }
            "scales" if has_weight() => return Meaning::Auxiliary(SCALES),
            // MLX: scales and biases beside packed weights.
            "biases" if has("scales") && has("weight") => return Meaning::Auxiliary(SCALES),
            "weight" if tensor.dtype == DType::U32 && has("scales") => {
                return self.packed(tensor, stem, "weight");
            }
            "weight"
                if tensor.dtype == DType::U8
                    && names.contains(format!("{name}.absmax").as_str()) =>
            {
                return Meaning::Packed(2, 1, "packed, 2 to a byte (bitsandbytes)".to_owned());
            }
            "weight"
                if tensor.dtype == DType::U8 && (has("weight_scale_2") || has("weight_scale")) =>
            {
                return Meaning::Packed(2, 1, "packed, 2 to a byte (4-bit floats)".to_owned());
            }
            "scaled_fp8" => return Meaning::Auxiliary(SCALES),
            _ if BESIDE_WEIGHT.contains(&last) && has_weight() => {
                return Meaning::Auxiliary(SCALES);
            }
            _ if BELOW_WEIGHT.contains(&last) && names.contains(stem) => {
                return Meaning::Auxiliary(SCALES);
            }
            _ if last.starts_with("bitsandbytes__") => return Meaning::Auxiliary(SCALES),
            _ => {}
        }
        if let Some(stem) = name.strip_suffix("_blocks")
            && tensor.dtype == DType::U8
            && names.contains(format!("{stem}_scales").as_str())
        {
            return Meaning::Packed(2, 1, "packed, 2 to a byte (MXFP4)".to_owned());
        }
        if let Some(stem) = name.strip_suffix("_scales")
            && names.contains(format!("{stem}_blocks").as_str())
        {
            return Meaning::Auxiliary(SCALES);
        }
        match tensor.dtype {
            DType::F8E8M0 => Meaning::Auxiliary(SCALES),
            _ => Meaning::Plain,
        }
    }

    /// Integers that hold several values each. Without a configuration they hold 4 bits, as
    /// nearly all do.
    fn packed(&self, tensor: &Tensor, module: &str, what: &str) -> Meaning {
        let width = 8 * u64::from(tensor.dtype.element_bytes().unwrap_or(4));
        let declared = self.modules.get(module).copied().or(self.bits);
        let bits = declared.unwrap_or(4).min(width);
        let method = self.method.as_deref().unwrap_or(match what {
            "qweight" => "GPTQ or AWQ",
            "weight_packed" => "compressed-tensors",
            _ => "MLX",
        });
        let assumed = if declared.is_some() { "" } else { ", assumed" };
        // A count of bits that does not divide the width leaves some unused in GPTQ's rows and
        // none in compressed-tensors'; both come out right over whole tensors.
        Meaning::Packed(
            width,
            bits,
            format!("packed, {bits} bits each ({method}{assumed})"),
        )
    }
}
