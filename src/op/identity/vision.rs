//! Models that see: classifiers, detectors, segmenters.
//!
//! Source: `state_dict()` of transformers, torchvision, timm, ultralytics and facenet-pytorch.

use super::rule::{Measure, Rule, Variant};
use super::{Domain, Kind};

const fn vision(family: &'static str, name: &'static str, tests: &'static [&'static str]) -> Rule {
    Rule::new(Domain::Vision, family, name, tests)
}

/// Of transformers over patches.
pub(super) const VIT: &[Measure] = &[
    (
        "layers",
        "#vision_model.encoder.layers. | #encoder.layers. | #encoder.layer. | #vit.encoder.layer. | #vit.layers. | #deit.encoder.layer. | #deit.layers. | #backbone.encoder.layer. | #blocks. | #encoder.layers.encoder_layer_ | #layer. | #model.layer.",
    ),
    (
        "hidden_size",
        "vision_model.post_layernorm.weight[0] | post_layernorm.weight[0] | layernorm.weight[0] | vit.layernorm.weight[0] | deit.layernorm.weight[0] | norm.weight[0] | encoder.ln.weight[0] | backbone.layernorm.weight[0]",
    ),
    (
        "patch_size",
        "vision_model.embeddings.patch_embedding.weight[2] | embeddings.patch_embedding.weight[2] | embeddings.patch_embeddings.projection.weight[2] | vit.embeddings.patch_embeddings.projection.weight[2] | patch_embed.proj.weight[2] | conv_proj.weight[2]",
    ),
    (
        "classes",
        "classifier.weight[0] | head.weight[0] | head.fc.weight[0] | heads.head.weight[0] | cls_classifier.weight[0]",
    ),
];

const VIT_SIZE: &[Variant] = &[
    (
        "tiny",
        "",
        &["norm.weight[0]=192 | encoder.ln.weight[0]=192"],
    ),
    (
        "small",
        "",
        &["norm.weight[0]=384 | encoder.ln.weight[0]=384"],
    ),
    (
        "base",
        "",
        &["norm.weight[0]=768 | encoder.ln.weight[0]=768"],
    ),
    (
        "large",
        "",
        &["norm.weight[0]=1024 | encoder.ln.weight[0]=1024"],
    ),
    (
        "huge",
        "",
        &["norm.weight[0]=1280 | encoder.ln.weight[0]=1280"],
    ),
];

const DEPTH_SIZE: &[Variant] = &[
    (
        "giant",
        "",
        &["backbone.embeddings.patch_embeddings.projection.weight[0]=1536"],
    ),
    (
        "large",
        "",
        &["backbone.embeddings.patch_embeddings.projection.weight[0]=1024"],
    ),
    (
        "base",
        "",
        &["backbone.embeddings.patch_embeddings.projection.weight[0]=768"],
    ),
    (
        "small",
        "",
        &["backbone.embeddings.patch_embeddings.projection.weight[0]=384"],
    ),
];

/// Grouped convolutions have few columns, wide ones twice the usual channels.
const RESNET: &[Variant] = &[
    (
        "resnext 50",
        "",
        &["#layer3.=6", "layer1.0.conv2.weight[1]=4"],
    ),
    (
        "wide 50",
        "",
        &["#layer3.=6", "layer1.0.conv2.weight[1]=128"],
    ),
    (
        "152",
        "",
        &[
            "#layer3.=36",
            "layer1.0.conv3.weight",
            "layer1.0.conv1.weight[0]=64",
        ],
    ),
    (
        "101",
        "",
        &[
            "#layer3.=23",
            "layer1.0.conv3.weight",
            "layer1.0.conv1.weight[0]=64",
        ],
    ),
    (
        "50",
        "",
        &[
            "#layer3.=6",
            "layer1.0.conv3.weight",
            "layer1.0.conv1.weight[0]=64",
        ],
    ),
    ("34", "", &["#layer3.=6", "!layer1.0.conv3.weight"]),
    ("18", "", &["#layer3.=2", "!layer1.0.conv3.weight"]),
];

/// By the place of the last convolution, which batch norms move.
const VGG: &[Variant] = &[
    ("19 with batch norms", "", &["features.49.weight:4"]),
    ("16 with batch norms", "", &["features.40.weight:4"]),
    ("13 with batch norms", "", &["features.31.weight:4"]),
    (
        "11 with batch norms",
        "",
        &["features.25.weight:4", "features.1.running_mean"],
    ),
    ("19", "", &["features.34.weight:4"]),
    ("16", "", &["features.28.weight:4"]),
    ("13", "", &["features.22.weight:4"]),
    ("11", "", &["features.18.weight:4"]),
];

/// By the number of the head and what it holds, then by what the trunk is made of.
const YOLO: &[Variant] = &[
    ("v3", "", &["28.anchors"]),
    ("v5", "", &["24.anchors | 33.anchors"]),
    ("v7", "", &["105.anchors | 77.anchors"]),
    (
        "v10",
        "",
        &["23.one2one_cv2.0.0.conv.weight", "23.dfl.conv.weight"],
    ),
    ("26", "", &["23.one2one_cv2.0.0.conv.weight"]),
    (
        "12",
        "",
        &["21.dfl.conv.weight", "6.m.0.0.attn.qkv.conv.weight"],
    ),
    (
        "11",
        "",
        &["23.dfl.conv.weight", "10.m.0.attn.qkv.conv.weight"],
    ),
    ("v9", "", &["22.dfl.conv.weight", "2.cv4.conv.weight"]),
    ("v8", "", &["22.dfl.conv.weight", "2.m.0.cv1.conv.weight"]),
    ("v5u", "", &["24.dfl.conv.weight"]),
    ("v3u", "", &["28.dfl.conv.weight"]),
];

/// The table: the first that fits is it.
#[rustfmt::skip]
pub(super) const RULES: &[Rule] = &[
    vision("depth-anything-3", "Depth Anything 3", &["backbone.embeddings.patch_embeddings.projection.weight[0]=384,768,1024,1536", "!neck.reassemble_stage.*"]).variants(DEPTH_SIZE).facts(VIT),
    vision("depth-anything", "Depth Anything", &["backbone.embeddings.patch_embeddings.projection.weight", "neck.reassemble_stage.*"]).variants(DEPTH_SIZE).facts(VIT),
    vision("yolos", "YOLOS", &["vit.embeddings.detection_tokens"]).facts(VIT),
    vision("deit", "DeiT", &["deit.embeddings.distillation_token"]).facts(VIT),
    vision("dinov3", "DINOv3", &["embeddings.register_tokens", "embeddings.patch_embeddings.weight", "layer.0.layer_scale1.lambda1 | model.layer.0.layer_scale1.lambda1"]).facts(VIT),
    vision("dinov2", "DINOv2", &["embeddings.mask_token", "encoder.layer.0.layer_scale1.lambda1"]).of_kind(Kind::VisionEncoder).facts(VIT),
    vision("vit", "ViT", &["vit.embeddings.patch_embeddings.projection.weight", "vit.embeddings.cls_token"]).facts(VIT),
    vision("vit", "ViT in timm's names", &["patch_embed.proj.weight", "cls_token", "blocks.0.attn.qkv.weight"]).variants(VIT_SIZE).facts(VIT),
    vision("vit", "ViT in torchvision's names", &["conv_proj.weight", "class_token", "encoder.layers.encoder_layer_0.self_attention.in_proj_weight"]).variants(VIT_SIZE).facts(VIT),
    vision("swin", "Swin Transformer", &["swin.embeddings.patch_embeddings.projection.weight | layers.0.blocks.0.attn.relative_position_bias_table | features.1.0.attn.relative_position_bias_table"]).facts(VIT),
    vision("convnext", "ConvNeXt", &["convnext.embeddings.patch_embeddings.weight | stages.0.blocks.0.conv_dw.weight | features.1.0.layer_scale"]).facts(&[("classes", "classifier.weight[0] | head.fc.weight[0] | classifier.2.weight[0]")]),
    vision("segformer", "SegFormer", &["segformer.stages.0.patch_embeddings.proj.weight | segformer.encoder.patch_embeddings.0.proj.weight"]).facts(VIT),
    vision("sam", "Segment Anything", &["mask_decoder.iou_token.weight", "prompt_encoder.no_mask_embed.weight"]),
    vision("sam3", "Segment Anything 3", &["detector.backbone.vision_backbone.trunk.blocks.0.attn.qkv.weight"]),
    vision("resnet", "ResNet in Hugging Face's names", &["resnet.embedder.embedder.convolution.weight"]).facts(VIT),
    vision("resnet", "ResNet", &["conv1.weight[0]=64", "bn1.running_mean", "layer1.0.conv1.weight", "layer4.0.conv1.weight"]).variants(RESNET).facts(&[("classes", "fc.weight[0]")]),
    vision("vgg", "VGG", &["features.0.weight[0]=64", "features.0.weight[2]=3", "features.18.weight | features.20.weight | features.21.weight", "classifier.6.weight"]).variants(VGG).facts(&[("classes", "classifier.6.weight[0]")]),
    vision("alexnet", "AlexNet", &["features.0.weight[2]=11", "features.10.weight:4", "classifier.6.weight"]).facts(&[("classes", "classifier.6.weight[0]")]),
    vision("densenet", "DenseNet", &["features.denseblock1.denselayer1.norm1.weight", "features.norm0.weight"]).facts(&[("classes", "classifier.weight[0]")]),
    vision("squeezenet", "SqueezeNet", &["features.3.squeeze.weight | features.4.squeeze.weight", "classifier.1.weight:4"]).facts(&[("classes", "classifier.1.weight[0]")]),
    vision("inception", "Inception v3", &["Conv2d_1a_3x3.conv.weight", "Mixed_5b.branch1x1.conv.weight"]).facts(&[("classes", "fc.weight[0]")]),
    vision("efficientnet", "EfficientNet", &["features.0.0.weight:4", "features.1.0.block.0.0.weight:4", "!features.1.0.layer_scale"]).facts(&[("classes", "classifier.1.weight[0]")]),
    vision("efficientnet", "EfficientNet in timm's names", &["conv_stem.weight", "conv_head.weight", "bn2.weight", "blocks.0.0.se.conv_reduce.weight | blocks.3.0.se.conv_reduce.weight"]).facts(&[("classes", "classifier.weight[0]")]),
    vision("mobilenet", "MobileNet", &["features.0.0.weight:4", "features.1.conv.0.0.weight | features.1.block.0.0.weight"])
        .variants(&[("v2", "", &["features.1.conv.0.0.weight"]), ("v3 small", "", &["features.1.block.1.fc1.weight"]), ("v3 large", "", &["features.1.block.1.0.weight"])])
        .facts(&[("classes", "classifier.1.weight[0] | classifier.3.weight[0]")]),
    vision("mobilenet", "MobileNet in timm's names", &["conv_stem.weight", "conv_head.weight", "blocks.0.0.conv_dw.weight", "conv_head.bias | blocks.2.0.conv_dw.weight[2]=3"])
        .variants(&[("v3", "", &["conv_head.bias"]), ("v2", "", &["bn2.weight"])]).facts(&[("classes", "classifier.weight[0]")]),
    vision("yolo", "YOLO", &["0.conv.weight:4 | 1.conv.weight:4", "21.dfl.conv.weight | 22.dfl.conv.weight | 23.dfl.conv.weight | 24.dfl.conv.weight | 28.dfl.conv.weight | 42.dfl.conv.weight | \
                              23.one2one_cv2.0.0.conv.weight | 24.anchors | 28.anchors | 33.anchors | 77.anchors | 105.anchors"]).variants(YOLO),
    vision("rt-detr", "RT-DETR v4", &["encoder.pan_blocks.1.cv4.conv.weight"]),
    vision("mtcnn", "MTCNN", &["conv1.weight", "prelu1.weight", "conv4_1.weight | dense5_1.weight | dense6_1.weight"]).variants(&[("onet", "", &["dense6_1.weight"]), ("rnet", "", &["dense5_1.weight"]), ("pnet", "", &["conv4_1.weight"])]),
    vision("triposplat", "TripoSplat", &["cam_out_layer.weight", "repo_layers.0.final_map.weight"]),
    vision("lama", "LaMa, for filling in", &["model.1.bn_l.running_mean | generator.model.1.bn_l.running_mean"]),
];
