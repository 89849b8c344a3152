//! `ckpt show`.

use super::support::{ckpt_in, folder};

#[test]
fn values_follow_a_header() {
    let folder = folder();
    let ran = ckpt_in(folder.path(), &["show", "m.safetensors", "h.0.w"]);
    assert_eq!(ran.stdout, "h.0.w  F32 [2, 2]\n[[0. 1.]\n [2. 3.]]\n");
    let slice = ["show", "m.safetensors", "h.1.w", "--slice", "-1,::-1"];
    let ran = ckpt_in(folder.path(), &slice);
    assert_eq!(ran.stdout, "h.1.w[-1,::-1]  F32 [2] of [2, 2]\n[7. 6.]\n");
}

#[test]
fn json_nests_values() {
    let folder = folder();
    let args = ["show", "m.safetensors", "h.0.w", "-s", ":,1", "--json"];
    let parsed: serde_json::Value =
        serde_json::from_str(&ckpt_in(folder.path(), &args).stdout).unwrap();
    let expected = serde_json::json!({
        "schema": "ckpt.show/1", "path": "m.safetensors", "tensor": "h.0.w", "dtype": "F32",
        "shape": [2, 2], "slice": ":,1", "values": [1.0, 3.0],
    });
    assert_eq!(parsed, expected);
}
