//! A state directory that holds files that no server wrote.

use std::fs;

use portcullis::Authorizer;
use portcullis::snapshot::MAGIC;
use portcullis_document::load::Input;
use portcullis_server::policy::{Contents, LiveOptions, LivePolicy, Source, StateDir, StateError};

use super::util::{now, policy};

#[test]
fn a_policy_in_the_state_directory_is_not_written_over() {
    for name in ["policy.json", "other.json"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("policy.json");
        fs::write(&file, policy("one")).unwrap();
        fs::write(folder.path().join("other.json"), policy("two")).unwrap();
        let options = LiveOptions { state_dir: Some(folder.path().to_owned()), ..LiveOptions::default() };
        let source = Source::files([folder.path().join(name)]).unwrap();
        let error = LivePolicy::start(&source, Authorizer::unavailable(), options).unwrap_err().to_string();
        assert!(error.contains("policy.json` is not a saved policy"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), policy("one"));
    }
}

#[test]
fn a_save_leaves_every_file_that_no_server_wrote() {
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    // The last two have the names of leftovers, but other contents.
    let compiled = format!("policy-{}.pcls", "0".repeat(64));
    let others = ["policy.pcls", "policy-1.pcls", "live.pcls", "policy.new", ".policy-x", "notes.txt"];
    let others = [&others[..], &[&compiled, ".policy-notes.new"]].concat();
    for name in &others {
        fs::write(folder.path().join(name), name).unwrap();
    }
    fs::create_dir(folder.path().join(".policy-folder.new")).unwrap();
    // Files that a killed server left.
    fs::write(folder.path().join(".policy-Ab12Cd.new"), "{\"portcullis_state\":1,\"at\":").unwrap();
    fs::write(folder.path().join(".policy-Ef34Gh.new"), &MAGIC[..4]).unwrap();
    fs::write(folder.path().join(".policy-Ij56Kl.new"), "").unwrap();
    let documents = Contents::Documents(vec![Input::new("a.json", r#"{"tokens": []}"#)]);
    state.save("a", &documents, now()).unwrap();
    state.save("a", &Contents::Compiled(b"compiled".to_vec()), now()).unwrap();
    state.save("a", &documents, now()).unwrap();
    for name in &others {
        assert_eq!(fs::read_to_string(folder.path().join(name)).unwrap(), *name);
    }
    // The policy, the lock, and the folder.
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), others.len() + 3);
    // A file that replaces the saved policy later stays, too.
    fs::write(folder.path().join("policy.json"), policy("one")).unwrap();
    assert!(matches!(state.save("a", &documents, now()), Err(StateError::NotOurs(_))));
    assert_eq!(fs::read_to_string(folder.path().join("policy.json")).unwrap(), policy("one"));
}
