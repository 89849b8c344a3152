//! `ckpt inspect --as-schema` and `ckpt audit --schema`, from the outside.

use super::support::{ckpt_in, folder, safetensors};
use crate::support::testdata;
use serde_json::Value as Json;

#[test]
fn a_good_checkpoint_makes_the_schema_that_others_are_held_against() {
    let folder = folder();
    let args = ["inspect", "m.safetensors", "--as-schema", "-o", "m.toml"];
    let made = ckpt_in(folder.path(), &args);
    assert_eq!((made.status, made.stderr.as_str()), (0, ""));
    let text = std::fs::read_to_string(folder.path().join("m.toml")).unwrap();
    let layers = "[[tensors]]\nname = \"h.{0,1}.w\"\ndtype = \"F32\"\nshape = [2, 2]\n";
    assert!(text.contains(layers), "{text}");
    let args = ["audit", "m.safetensors", "--schema", "m.toml", "--json"];
    let same = ckpt_in(folder.path(), &args);
    let rules = |ran: &super::support::Ran| -> Vec<String> {
        let found: Json = serde_json::from_str(&ran.stdout).unwrap();
        let findings = found["findings"].as_array().unwrap().clone();
        let rules = findings
            .iter()
            .map(|f| f["rule"].as_str().unwrap().to_owned());
        rules.filter(|rule| rule.starts_with("schema-")).collect()
    };
    assert!(rules(&same).is_empty(), "{}", same.stdout);

    let header = r#"{"h.0.w":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]}}"#;
    let other = safetensors(header, &[0; 8]);
    std::fs::write(folder.path().join("n.safetensors"), other).unwrap();
    let args = ["audit", "n.safetensors", "--schema", "m.toml", "--json"];
    let other = ckpt_in(folder.path(), &args);
    assert_eq!(other.status, 1);
    let expected = ["schema-missing", "schema-dtype", "schema-missing"];
    assert_eq!(rules(&other), expected, "{}", other.stdout);
}

#[test]
fn a_schema_says_what_it_is_of_and_no_metadata_gets_out_of_the_comment() {
    let model = testdata("language").join("qwen3");
    let folder = folder();
    let args = ["inspect", model.to_str().unwrap(), "--as-schema"];
    let made = ckpt_in(folder.path(), &args);
    let first = made.stdout.lines().next().unwrap();
    assert_eq!(first, "# qwen3, a model (Qwen3; Qwen3ForCausalLM)");
    let config = r#"{"model_type": "odd\nextra = 'allow'", "architectures": ["\u0085\u001b[1m"]}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    // Only beside a whole model is its configuration read.
    let [from, to] = ["m.safetensors", "model.safetensors"].map(|name| folder.path().join(name));
    std::fs::rename(from, to).unwrap();
    let args = [
        "inspect",
        "model.safetensors",
        "--as-schema",
        "-o",
        "m.toml",
    ];
    assert_eq!(ckpt_in(folder.path(), &args).status, 0);
    let text = std::fs::read_to_string(folder.path().join("m.toml")).unwrap();
    let second = text.lines().nth(1);
    assert!(text.starts_with("# odd"), "{text}");
    assert_eq!(second, Some("schema = \"ckpt.schema/1\""), "{text}");
    let args = ["audit", "model.safetensors", "--schema", "m.toml", "--json"];
    let audited = ckpt_in(folder.path(), &args).stdout;
    assert!(!audited.contains("schema-"), "{audited}");
}

#[test]
fn a_configuration_beside_the_weights_is_held_against_them() {
    let folder = tempfile::tempdir().unwrap();
    let header =
        r#"{"transformer.wte.weight":{"dtype":"F32","shape":[2,4],"data_offsets":[0,32]}}"#;
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    write("model.safetensors", &safetensors(header, &[0; 32]));
    write(
        "config.json",
        br#"{"model_type": "gpt2", "n_embd": 4, "vocab_size": 2}"#,
    );
    let fits = ckpt_in(folder.path(), &["audit", "."]);
    assert_eq!(fits.status, 0, "{}", fits.stdout);
    write(
        "config.json",
        br#"{"model_type": "gpt2", "n_embd": 4, "vocab_size": 3}"#,
    );
    let differs = ckpt_in(folder.path(), &["audit", ".", "--json"]);
    assert_eq!(differs.status, 1);
    let found: Json = serde_json::from_str(&differs.stdout).unwrap();
    let finding = &found["findings"][0];
    assert_eq!(finding["rule"], "config-mismatch");
    let text = "has shape [2, 4], not [3, 4] ([vocab_size, n_embd]), as `config.json` implies";
    assert_eq!(finding["text"], text);
}

#[test]
fn a_schema_is_of_one_checkpoint_and_mistakes_in_it_are_named() {
    let folder = folder();
    let args = ["inspect", "--as-schema", "m.safetensors", "m.safetensors"];
    let ran = ckpt_in(folder.path(), &args);
    let message = "ckpt: a schema is of one checkpoint, but 2 paths are given\n";
    assert_eq!((ran.status, ran.stderr.as_str()), (2, message));
    std::fs::write(folder.path().join("s.toml"), "[[tensors]]\nnome = 'a'\n").unwrap();
    let ran = ckpt_in(
        folder.path(),
        &["audit", "m.safetensors", "--schema", "s.toml"],
    );
    assert_eq!(ran.status, 2);
    assert!(
        ran.stderr
            .starts_with("ckpt: s.toml: line 2: unknown field `nome`"),
        "{}",
        ran.stderr
    );
}
