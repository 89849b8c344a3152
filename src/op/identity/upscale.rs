//! What makes pictures larger, or mends them.
//!
//! Source: spandrel, `architectures/*/__init__.py` (`detect`), and `state_dict()` of the classes there.

use super::rule::{Measure, Rule};
use super::{Domain, Kind};

const fn upscaler(
    family: &'static str,
    name: &'static str,
    tests: &'static [&'static str],
) -> Rule {
    Rule::new(Domain::Vision, family, name, tests).of_kind(Kind::Upscaler)
}

const FIRST: &[Measure] = &[
    ("blocks", "#layers."),
    ("hidden_size", "conv_first.weight[0]"),
    ("in_channels", "conv_first.weight[1]"),
];

/// The table: the first that fits is it.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    upscaler("esrgan", "ESRGAN upscaler", &["body.0.rdb1.conv1.weight | model.1.sub.0.RDB1.conv1.0.weight | RRDB_trunk.0.RDB1.conv1.weight"])
        .variants(&[("old names", "", &["model.0.weight"]), ("new names", "", &["conv_body.weight"]), ("names of BSRGAN", "", &["trunk_conv.weight"])])
        .facts(&[("blocks", "#body. | #model.1.sub. | #RRDB_trunk."), ("in_channels", "conv_first.weight[1] | model.0.weight[1]")]),
    upscaler("hat", "HAT upscaler", &["conv_first.weight", "layers.0.residual_group.overlap_attn.qkv.weight"]).facts(FIRST),
    upscaler("swin2sr", "Swin2SR upscaler", &["conv_first.weight", "layers.0.residual_group.blocks.0.attn.logit_scale"]).facts(FIRST),
    upscaler("swinir", "SwinIR upscaler", &["conv_first.weight | conv_first.1.weight", "layers.0.residual_group.blocks.0.attn.relative_position_bias_table"]).facts(FIRST),
    upscaler("rgt", "RGT upscaler", &["conv_first.weight", "before_RG.1.weight", "layers.0.blocks.0.gamma"]).facts(FIRST),
    upscaler("dat", "DAT upscaler", &["conv_first.weight", "before_RG.1.weight", "layers.0.blocks.0.ffn.sg.conv.weight"]).facts(FIRST),
    upscaler("atd", "ATD upscaler", &["conv_first.weight", "layers.0.residual_group.td"]).facts(FIRST),
    upscaler("drct", "DRCT upscaler", &["conv_first.weight", "layers.0.swin1.norm1.weight"]).facts(FIRST),
    upscaler("span", "SPAN upscaler", &["block_1.c1_r.sk.weight | block_1.c1_r.eval_conv.weight", "conv_cat.weight"]),
    upscaler("plksr", "PLKSR upscaler", &["feats.0.weight", "feats.1.refine.weight", "feats.1.channe_mixer.0.weight | feats.1.channel_mixer.0.weight"])
        .variants(&[("plksr", "", &["feats.1.channe_mixer.0.weight"]), ("real-plksr", "", &["feats.1.channel_mixer.0.weight"])]).facts(&[("in_channels", "feats.0.weight[1]")]),
    upscaler("omnisr", "OmniSR upscaler", &["residual_layer.0.residual_layer.0.layer.0.fn.0.weight", "input.weight", "up.0.weight"]).facts(&[("in_channels", "input.weight[1]")]),
    upscaler("scunet", "SCUNet upscaler", &["m_head.0.weight", "m_tail.0.weight", "m_body.0.trans_block.ln1.weight"]).facts(&[("in_channels", "m_head.0.weight[1]")]),
    upscaler("real-cugan", "Real-CUGAN upscaler", &["unet1.conv1.conv.0.weight", "unet2.conv1.conv.0.weight"]).facts(&[("in_channels", "unet1.conv1.conv.0.weight[1]")]),
    upscaler("realesrgan-compact", "Real-ESRGAN compact upscaler", &["body.0.weight:4", "body.1.weight:1", "body.2.weight:4", "!conv_first.weight"]).facts(&[("in_channels", "body.0.weight[1]")]),
    upscaler("gfpgan", "GFPGAN, for faces", &["stylegan_decoder.style_mlp.1.weight", "toRGB.0.weight"]),
    upscaler("codeformer", "CodeFormer, for faces", &["position_emb", "ft_layers.0.self_attn.in_proj_weight", "quantize.embedding.weight"]),
    upscaler("restoreformer", "RestoreFormer, for faces", &["quantize.embedding.weight", "encoder.conv_in.weight", "encoder.mid.attn_1.norm2.weight"]),
];
