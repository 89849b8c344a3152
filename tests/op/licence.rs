//! Licences: every place that states one, and what contradicts what.

use ckpt::model::{Beside, Checkpoint, Value};
use ckpt::op::identity::identify;
use ckpt::op::licence::{Class, Licences, find};

fn licences(metadata: &[(&str, &str)], beside: &Beside) -> Licences {
    let checkpoint = Checkpoint {
        metadata: metadata
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::text(*value)))
            .collect(),
        ..Checkpoint::default()
    };
    find(&checkpoint, beside, &identify(&checkpoint, beside))
}

fn card(yaml: &str) -> Beside {
    Beside {
        card: Some(ckpt::format::yaml::parse(yaml).unwrap()),
        ..Beside::default()
    }
}

fn statements(licences: &Licences) -> Vec<(&str, Option<&str>, Class)> {
    let statements = licences.statements.iter();
    statements
        .map(|s| (s.place.as_str(), s.id, s.class))
        .collect()
}

#[test]
fn every_place_is_read_side_by_side() {
    let mut beside = card("license: cc-by-nc-4.0\n");
    let apache = "                                 Apache License\n                           Version 2.0, January 2004\n";
    beside
        .licences
        .push(("LICENSE".to_owned(), apache.to_owned()));
    beside
        .licences
        .push(("NOTICE".to_owned(), "Copyright".to_owned()));
    let found = licences(
        &[
            ("general.license", "mit"),
            ("modelspec.license", "OpenRAIL++"),
        ],
        &beside,
    );
    assert_eq!(
        statements(&found),
        [
            ("general.license", Some("mit"), Class::Permissive),
            (
                "modelspec.license",
                Some("openrail++"),
                Class::UseRestricted
            ),
            (
                "README.md: license",
                Some("cc-by-nc-4.0"),
                Class::NonCommercial
            ),
            ("LICENSE", Some("apache-2.0"), Class::Permissive),
        ]
    );
    assert_eq!(found.class(), Class::NonCommercial);
    assert_eq!(found.conflicts.len(), 3);
}

#[test]
fn a_name_of_its_own_stands_for_other() {
    let found = licences(
        &[],
        &card("license: other\nlicense_name: flux-1-dev-non-commercial-license\n"),
    );
    let expected = (
        "README.md: license_name",
        Some("flux-1-dev-non-commercial-license"),
        Class::NonCommercial,
    );
    assert_eq!(statements(&found), [expected]);
    let found = licences(&[], &card("license: other\nlicense_name: my-own\n"));
    assert_eq!(
        statements(&found),
        [("README.md: license_name", None, Class::Unknown)]
    );
}

#[test]
fn a_base_that_allows_less_is_a_conflict() {
    let yaml = "license: apache-2.0\nbase_model:\n- meta-llama/Llama-3.1-8B\n- someone/unknown\n";
    let found = licences(&[], &card(yaml));
    let bases: Vec<(&str, Option<&str>)> = found
        .bases
        .iter()
        .map(|b| (b.model.as_str(), b.id))
        .collect();
    assert_eq!(
        bases,
        [
            ("meta-llama/Llama-3.1-8B", Some("llama3.1")),
            ("someone/unknown", None)
        ]
    );
    assert_eq!(found.conflicts.len(), 1);
    assert!(
        found.conflicts[0].contains("llama3.1"),
        "{}",
        found.conflicts[0]
    );
}

#[test]
fn refusals_name_what_is_not_allowed() {
    let none = licences(&[], &Beside::default());
    assert_eq!(
        none.refusals(&[Class::Permissive]),
        ["no licence is stated"]
    );
    assert!(
        none.refusals(&[Class::Permissive, Class::Unknown])
            .is_empty()
    );
    let found = licences(&[], &card("license: gemma\n"));
    assert_eq!(found.refusals(&[Class::Permissive]).len(), 1);
    assert!(found.refusals(&[Class::UseRestricted]).is_empty());
}
