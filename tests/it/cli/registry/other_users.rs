//! Empty results of a user that may be misspelt, and ids that nothing ever had.

use super::Dir;

#[test]
fn empty_results_report_the_records_of_other_users() {
    let dir = Dir::with_registry();
    dir.ana("credentials create token --name map --apis lds").stdout(0);
    dir.ana("credentials create spa --title Atlas --callback https://a.example/").stdout(0);
    let id = dir.ana("credentials get token map --format json").stdout(0);
    let id: serde_json::Value = serde_json::from_str(&id).unwrap();
    let id = id["id"].as_str().unwrap();
    let tokens = "note: other users have 1 token: `--all-users` includes them\n";
    let clients = "note: other users have 1 spa client: `--all-users` includes them\n";
    let both = format!("{tokens}{clients}");
    let changes = "note: other users have 1 change: `--all-users` includes them\n";
    let of_token = format!("trail {id}");
    let of_token_json = format!("{of_token} --format json");
    for (args, stdout, stderr) in [
        ("credentials list tokens", "none\n", tokens),
        ("credentials list tokens --format json", "[]\n", tokens),
        ("credentials list spa", "none\n", clients),
        ("credentials list m2m", "none\n", ""),
        ("credentials list", "Tokens\nnone\n\nSingle-page applications\nnone\n\nMachines\nnone\n", &both),
        ("credentials prune", "pruned 0 tokens\n", tokens),
        (&of_token, "no changes\n", changes),
        (&of_token_json, "[]\n", changes),
    ] {
        let ran = dir.command(args).arg("--db").arg("sqlite:registry.db").arg("--user").arg("anna").run();
        assert_eq!((ran.code, &*ran.stdout, &*ran.stderr), (0, stdout, stderr), "{args}");
        let ran = dir.ana(args).arg("--all-users").run();
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{args}");
    }
    for format in ["", " --format json"] {
        for (asked, expected) in [
            ("tk_nope".to_owned(), "no change of `tk_nope` is in the trail\nhelp: ".to_owned()),
            (format!("{id}x"), format!("help: did you mean `{id}`?\n")),
            ("DW".to_owned(), "help: did you mean `dw`?\n".to_owned()),
            ("map".to_owned(), format!("help: did you mean `{id}`?\n")),
        ] {
            let error = dir.ana(&format!("trail {asked}{format}")).stderr();
            assert!(error.contains(&expected), "{asked}: {error}");
        }
    }
}

/// The trail of a user has the changes of shared records: it is not empty, and still lacks the changes of other users.
#[test]
fn a_trail_with_entries_reports_the_changes_of_other_users() {
    let dir = Dir::with_registry();
    dir.ana("credentials create token --name map --apis lds").stdout(0);
    dir.ana("credentials create spa --title Atlas --callback https://a.example/").stdout(0);
    let note = "note: other users have 2 changes: `--all-users` includes them\n";
    for args in ["trail", "trail --format json", "trail --last 1", "trail dw"] {
        let expected = if args == "trail dw" { "" } else { note };
        let ran = dir.command(args).arg("--db").arg("sqlite:registry.db").arg("--user").arg("nobody").run();
        assert_eq!((ran.code, &*ran.stderr, ran.stdout.contains("dw")), (0, expected, true), "{args}");
        let ran = dir.ana(args).run();
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{args}");
        let ran = dir.ana(args).arg("--all-users").run();
        assert_eq!((ran.code, &*ran.stderr), (0, ""), "{args}");
    }
}
