//! How many parameters quantised checkpoints have.

use super::open_as_safetensors;
use ckpt::model::Beside;
use ckpt::op::identity::identify;

/// Stored and logical parameters of tensors of `(name, dtype, shape)`, with a configuration.
fn counted(config: &str, tensors: &[(&str, &str, &[u64])]) -> (u64, u64) {
    let tensors: Vec<_> = tensors
        .iter()
        .map(|(name, dtype, shape)| ((*name).to_owned(), (*dtype).to_owned(), shape.to_vec()))
        .collect();
    let beside = Beside {
        config: (!config.is_empty()).then(|| ckpt::model::json::parse(config).unwrap()),
        ..Beside::default()
    };
    let identity = identify(&open_as_safetensors(&tensors), &beside);
    (identity.parameters.stored, identity.parameters.logical)
}

/// A layer of 4096 x 4096 weights, as each way of quantising it stores it: the weights are what
/// counts.
#[test]
fn quantised_weights_count_as_the_weights_they_stand_for() {
    let logical = 4096 * 4096;
    let of = |config: &str, tensors: &[(&str, &str, &[u64])]| counted(config, tensors).1;
    let gptq: &[(&str, &str, &[u64])] = &[
        ("l.qweight", "I32", &[512, 4096]),
        ("l.qzeros", "I32", &[32, 512]),
        ("l.scales", "F16", &[32, 4096]),
        ("l.g_idx", "I32", &[4096]),
    ];
    let config = r#"{"quantization_config": {"quant_method": "gptq", "bits": 4}}"#;
    assert_eq!(of(config, gptq), logical);
    let gptq8: &[(&str, &str, &[u64])] = &[
        ("l.qweight", "I32", &[1024, 4096]),
        ("l.scales", "F16", &[32, 4096]),
    ];
    let config = r#"{"quantization_config": {"quant_method": "gptq", "bits": 8}}"#;
    assert_eq!(of(config, gptq8), logical);
    let awq: &[(&str, &str, &[u64])] = &[
        ("l.qweight", "I32", &[4096, 512]),
        ("l.qzeros", "I32", &[32, 512]),
        ("l.scales", "F16", &[32, 4096]),
    ];
    assert_eq!(of("", awq), logical);
    let bitsandbytes: &[(&str, &str, &[u64])] = &[
        ("l.weight", "U8", &[8_388_608, 1]),
        ("l.weight.absmax", "U8", &[262_144]),
        ("l.weight.quant_map", "F32", &[16]),
        ("l.weight.nested_absmax", "F32", &[1024]),
        ("l.weight.quant_state.bitsandbytes__nf4", "U8", &[100]),
    ];
    assert_eq!(of("", bitsandbytes), logical);
    let packed: &[(&str, &str, &[u64])] = &[
        ("l.weight_packed", "I32", &[4096, 512]),
        ("l.weight_scale", "BF16", &[4096, 32]),
        ("l.weight_shape", "I64", &[2]),
    ];
    let config = r#"{"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}}}"#;
    assert_eq!(of(config, packed), logical);
    let mxfp4: &[(&str, &str, &[u64])] = &[
        ("l.down_proj_blocks", "U8", &[1, 4096, 128, 16]),
        ("l.down_proj_scales", "U8", &[1, 4096, 128]),
    ];
    assert_eq!(of("", mxfp4), logical);
    let fp8: &[(&str, &str, &[u64])] = &[
        ("l.weight", "F8_E4M3", &[4096, 4096]),
        ("l.weight_scale_inv", "F32", &[32, 32]),
    ];
    assert_eq!(counted("", fp8), (logical + 1024, logical));
    let plain: &[(&str, &str, &[u64])] = &[
        ("l.weight", "BF16", &[4096, 4096]),
        ("l.scales", "F32", &[3]),
    ];
    assert_eq!(of("", plain), logical + 3);
}

/// MLX: `mlx.core.quantize` packs into U32 along the last axis; modules may have bits of their own.
#[test]
fn weights_of_mlx_count_by_the_bits_of_their_module() {
    let tensors: &[(&str, &str, &[u64])] = &[
        ("a.weight", "U32", &[4096, 512]),
        ("a.scales", "BF16", &[4096, 64]),
        ("a.biases", "BF16", &[4096, 64]),
        ("b.weight", "U32", &[4096, 1024]),
        ("b.scales", "BF16", &[4096, 64]),
        ("b.biases", "BF16", &[4096, 64]),
        ("norm.weight", "BF16", &[4096]),
    ];
    let config = r#"{"quantization": {"group_size": 64, "bits": 4, "b": {"group_size": 64, "bits": 8}, "c": false}}"#;
    let logical = 2 * 4096 * 4096 + 4096;
    assert_eq!(counted(config, tensors).1, logical);
    let three: &[(&str, &str, &[u64])] = &[
        ("a.weight", "U32", &[4096, 384]),
        ("a.scales", "F16", &[4096, 64]),
        ("a.biases", "F16", &[4096, 64]),
    ];
    let config = r#"{"quantization": {"group_size": 64, "bits": 3}}"#;
    assert_eq!(counted(config, three).1, 4096 * 4096);
    // Without packed weights a name like these is a parameter's.
    let plain: &[(&str, &str, &[u64])] = &[("a.weight", "F16", &[8, 8]), ("a.biases", "U32", &[8])];
    assert_eq!(counted("", plain).1, 72);
}

/// ComfyUI, `comfy/quant_ops.py` and `comfy/ops.py`: markers and scales beside each weight.
#[test]
fn weights_of_comfyui_count_without_their_markers() {
    let logical = 4096 * 4096;
    let float8: &[(&str, &str, &[u64])] = &[
        ("a.weight", "F8_E4M3", &[4096, 4096]),
        ("a.weight_scale", "F32", &[]),
        ("a.input_scale", "F32", &[]),
        ("a.comfy_quant", "U8", &[28]),
    ];
    assert_eq!(counted("", float8), (logical + 2 + 28, logical));
    let scaled: &[(&str, &str, &[u64])] = &[
        ("scaled_fp8", "F8_E4M3", &[2]),
        ("a.weight", "F8_E4M3", &[4096, 4096]),
        ("a.scale_weight", "F32", &[1]),
        ("a.scale_input", "F32", &[1]),
    ];
    assert_eq!(counted("", scaled), (logical + 4, logical));
    let float4: &[(&str, &str, &[u64])] = &[
        ("a.weight", "U8", &[4096, 2048]),
        ("a.weight_scale", "F8_E4M3", &[4096, 256]),
        ("a.weight_scale_2", "F32", &[]),
        ("a.comfy_quant", "U8", &[20]),
    ];
    assert_eq!(counted("", float4).1, logical);
    let microscaled: &[(&str, &str, &[u64])] = &[
        ("a.weight", "F8_E4M3", &[4096, 4096]),
        ("a.weight_scale", "F8_E8M0", &[4096, 128]),
    ];
    assert_eq!(counted("", microscaled).1, logical);
    let integers: &[(&str, &str, &[u64])] = &[
        ("a.weight", "I8", &[4096, 4096]),
        ("a.weight_scale", "F32", &[4096, 1]),
    ];
    assert_eq!(counted("", integers).1, logical);
    let singular: &[(&str, &str, &[u64])] = &[
        ("a.qweight", "I8", &[4096, 2048]),
        ("a.wscales", "BF16", &[64, 4096]),
        ("a.smooth_factor", "BF16", &[4096]),
        ("a.proj_down", "BF16", &[4096, 32]),
        ("a.proj_up", "BF16", &[4096, 32]),
    ];
    assert_eq!(counted("", singular).1, logical + 2 * 4096 * 32);
}
