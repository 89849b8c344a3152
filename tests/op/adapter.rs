//! Adapters as their writers write them: the norms are those that NumPy finds.

use crate::support::{assert_none, files_below, read_json, short, testdata};
use ckpt::format;
use ckpt::op::identity::adapter::{Health, Problem, measure};
use ckpt::op::identity::{Identity, Kind, identify};
use std::path::Path;

fn open(path: &Path) -> (Identity, Health) {
    let checkpoint = format::open(path).unwrap();
    let identity = identify(&checkpoint, &format::beside(path));
    let health = measure(identity.adapter.as_ref().unwrap(), &checkpoint, 2).unwrap();
    (identity, health)
}

fn adapter(name: &str) -> (Identity, Health) {
    open(&testdata("adapter").join(name))
}

#[test]
fn norms_are_those_of_the_whole_product() {
    let files = files_below(&testdata("adapter"), &|name| name.ends_with(".norms.json"));
    assert!(files.len() >= 8, "{} found", files.len());
    let mut failures = Vec::new();
    let mut compared = 0;
    for path in files {
        let expected = read_json(&path);
        let name = path.to_string_lossy().into_owned();
        let path = Path::new(name.strip_suffix(".norms.json").unwrap());
        let (identity, health) = open(path);
        for (module, expected) in expected.as_object().unwrap() {
            let expected = expected.as_f64().unwrap();
            let pairs = &identity.adapter.as_ref().unwrap().pairs;
            let place = pairs.iter().position(|pair| pair.module == *module);
            let found = place.and_then(|place| health.modules[place].norm);
            compared += 1;
            if !found.is_some_and(|found| (found - expected).abs() <= 1e-12 * expected) {
                failures.push(format!(
                    "{} {module}: {found:?}, expected {expected}",
                    short(path)
                ));
            }
        }
    }
    assert!(compared > 20, "{compared} norms compared");
    assert_none("norms differ", &failures);
}

#[test]
fn threads_do_not_change_the_digits() {
    let path = testdata("adapter/kohya-sdxl.safetensors");
    let checkpoint = format::open(&path).unwrap();
    let identity = identify(&checkpoint, &format::beside(&path));
    let found = identity.adapter.unwrap();
    let of = |threads| measure(&found, &checkpoint, threads).unwrap();
    assert_eq!(of(1), of(7));
}

#[test]
fn what_does_nothing_and_what_stands_out_is_said() {
    let (identity, health) = adapter("kohya-sdxl.safetensors");
    let problems = |module: &str| {
        let pairs = &identity.adapter.as_ref().unwrap().pairs;
        let place = pairs
            .iter()
            .position(|pair| pair.module.ends_with(module))
            .unwrap();
        health.modules[place].problems.clone()
    };
    assert_eq!(problems("proj_in"), [Problem::Nothing]);
    assert!(matches!(problems("proj_out")[..], [Problem::Outlier(times)] if times > 10.0));
    assert_eq!(problems("attn2_to_k"), []);
}

#[test]
fn what_is_broken_is_said_and_harms_nothing_else() {
    let (_, health) = adapter("broken.safetensors");
    let problems: Vec<&[Problem]> = health.modules.iter().map(|m| &m.problems[..]).collect();
    assert_eq!(problems.len(), 3);
    let nan = Problem::NotFinite("lora_unet_a.lora_down.weight".to_owned());
    assert_eq!(problems[0], [nan]);
    assert!(matches!(problems[1], [Problem::Unmeasured(why)] if why.contains("do not fit")));
    assert!(matches!(problems[2], [Problem::Unmeasured(why)] if why.contains("missing")));
    assert!(health.modules.iter().all(|module| module.norm.is_none()));
}

#[test]
fn the_base_comes_from_names_and_widths() {
    let family = |name: &str| {
        let (identity, _) = adapter(name);
        assert_eq!(identity.kind, Kind::Adapter, "{name}");
        (identity.family.unwrap(), identity.variant.unwrap())
    };
    let pair = |family: &str, variant: &str| (family.to_owned(), variant.to_owned());
    assert_eq!(
        family("kohya-sdxl.safetensors"),
        pair("sdxl", "LoRA and LoCon")
    );
    assert_eq!(family("diffusers-sd1.safetensors"), pair("sd1", "LoRA"));
    assert_eq!(family("diffusers-flux.safetensors"), pair("flux", "LoRA"));
    assert_eq!(
        family("peft-dora/adapter_model.safetensors"),
        pair("llama", "LoRA with DoRA")
    );
    assert_eq!(family("peft-lora"), pair("llama", "LoRA"));
}

#[test]
fn a_configuration_gives_scales_and_the_base_model() {
    let (identity, health) = adapter("peft-lora/adapter_model.safetensors");
    let found = identity.adapter.unwrap();
    assert_eq!(found.base_model.as_deref(), Some("meta-llama/Llama-3.1-8B"));
    let scales: Vec<(&str, f64)> = found
        .pairs
        .iter()
        .zip(&health.modules)
        .map(|(pair, module)| (pair.module.rsplit("layers.").next().unwrap(), module.scale))
        .collect();
    assert_eq!(
        scales,
        [
            ("0.self_attn.q_proj", 2.0),
            ("0.self_attn.v_proj", 2.0),
            ("1.self_attn.q_proj", 2.0),
            ("1.self_attn.v_proj", 0.5),
        ]
    );
}

#[test]
fn a_model_with_a_few_such_names_is_no_adapter() {
    let mut checkpoint = format::open(&testdata("adapter/diffusers-sd1.safetensors")).unwrap();
    let mut more = checkpoint.tensors.clone();
    for copy in 0..4 {
        for tensor in &mut more {
            tensor.name = format!("model.{copy}.{}.weight", tensor.name);
        }
        checkpoint.tensors.extend(more.clone());
    }
    let identity = identify(&checkpoint, &Default::default());
    assert!(identity.adapter.is_none());
}
