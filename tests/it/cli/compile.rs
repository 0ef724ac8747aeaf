//! `compile`, and commands with a compiled policy.

use serde_json::Value;

use super::util::{Dir, SECRET};

#[test]
fn every_command_accepts_a_compiled_policy() {
    let requests = format!(
        "{{\"api\":\"lds\",\"token\":\"{SECRET}-geo\"}}\n{{\"api\":\"maps\",\"token\":\"{SECRET}\",\"connection\":\"dw\",\"resource\":\"public.rivers\"}}\n"
    );
    let dir = Dir::with_policy().file("requests.jsonl", requests);
    let text = dir.command("compile --policy policy.json --output policy.pcls").stdout(0);
    let (first, id) = text.trim_end().split_once('\n').unwrap();
    assert!(first.starts_with("policy.pcls: 2 tokens, 3 grants, "), "{text}");
    assert!(id.starts_with("sha256:") && id.len() == 71, "{text}");
    let file = std::fs::read(dir.path("policy.pcls")).unwrap();
    assert!(!file.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()));

    // Compiling again replaces the file with an equal one.
    let json = dir.command("compile --policy policy.json -o policy.pcls --format json").stdout(0);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["content_id"], &json["tokens"], &json["grants"]), (&id.into(), &2.into(), &3.into()));
    assert_eq!(json["bytes"], file.len());
    assert_eq!(std::fs::read(dir.path("policy.pcls")).unwrap(), file);
    assert_eq!(std::fs::read_dir(dir.path("")).unwrap().count(), 3, "a temporary file remains");

    let check = |policy: &str| {
        let ran = dir.command(&format!("check --requests requests.jsonl --policy {policy}")).run();
        (ran.code, ran.stdout)
    };
    assert_eq!(check("policy.pcls"), check("policy.json"));
    let answers = "{\"decision\":\"allow\",\"token\":\"geo\",\"grants\":[]}\n{\"decision\":\"deny\",\"reason\":\"source_not_granted\",\"status\":403}\n";
    assert_eq!(check("policy.pcls").1, answers);
    let by_environment = dir.command("inspect").env("PORTCULLIS_POLICY", "policy.pcls").stdout(0);
    assert_eq!(by_environment, dir.command("inspect --policy policy.pcls").stdout(0));
    assert!(by_environment.contains(&format!("content       {id}\n")), "{by_environment}");
    // The documents have the same content id, so users can compare them with the file.
    assert_eq!(by_environment, dir.command("inspect --policy policy.json").stdout(0));
    let inspected = dir.command("inspect --policy policy.pcls --format json").stdout(0);
    assert_eq!(serde_json::from_str::<Value>(&inspected).unwrap()["content_id"], id);
    let bench =
        dir.command("bench --policy policy.pcls --requests requests.jsonl --seconds 0.01 --threads 1").stdout(0);
    assert!(bench.contains("2 requests over 2 tokens"), "{bench}");
}

#[test]
fn compiled_policy_rejects_unsupported_and_damaged_input() {
    let dir = Dir::with_policy();
    dir.command("compile --policy policy.json --output policy.pcls").stdout(0);
    let mut file = std::fs::read(dir.path("policy.pcls")).unwrap();
    for (command, error) in [
        (
            "inspect --policy policy.pcls policy.json",
            "`policy.pcls` is a compiled policy, which cannot be combined with other files",
        ),
        (
            "inspect --policy policy.pcls --skip-invalid",
            "`--skip-invalid` does not apply to a compiled policy: leave the option out",
        ),
        ("compile --policy policy.pcls --output other.pcls", "the policy is already compiled: give its documents"),
        (
            "validate policy.pcls",
            "cannot read `policy.pcls`: expected JSON, found a compiled policy, which holds no definitions; help: give the \
             documents that it was compiled from",
        ),
        (
            "compile --policy policy.json --output none/policy.pcls",
            "cannot write `none/policy.pcls`: no such file or directory; help: create the folder `none`, or name a file in another one",
        ),
    ] {
        assert_eq!(dir.command(command).stderr(), format!("error: {error}\n"), "{command}");
    }
    let last = file.len() - 1;
    file[last] ^= 1;
    std::fs::write(dir.path("policy.pcls"), &file).unwrap();
    let error = dir.command("inspect --policy policy.pcls").stderr();
    assert!(error.starts_with("error: cannot load `policy.pcls`: damaged compiled policy: "), "{error}");
    let bytes = file.len();
    std::fs::write(dir.path("policy.pcls"), &file[..500]).unwrap();
    assert_eq!(
        dir.command("inspect --policy policy.pcls").stderr(),
        format!(
            "error: cannot load `policy.pcls`: incomplete compiled policy: expected {bytes} bytes, found 500; copy or compile it again\n"
        )
    );
}
