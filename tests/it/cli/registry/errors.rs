//! The exact error text for each kind of wrong input: `tests/data/registry.json`.

use serde_json::Value;

use super::Dir;

#[test]
fn every_mistake_has_its_exact_error() {
    let text = std::fs::read_to_string(crate::repository().join("tests/data/registry.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert!(cases.len() > 40);
    let dir = Dir::with_registry();
    dir.ana("connections add closed --named-sources-only").stdout(0);
    dir.ana("named-sources create open-orders --connection closed --sql=SELECT(1)").stdout(0);
    let token = "credentials create token --apis maps --connection dw --source a.b";
    dir.ana(token).arg("--name").arg("web map").stdout(0);
    let other = "--name other --referer https://a.example/ --connection closed --source open-orders";
    assert_eq!(dir.ana(&format!("{token} {other}")).run().code, 0);
    dir.ana("credentials create spa --title Atlas --callback https://atlas.example/cb").stdout(0);
    let trail = dir.ana("trail --format json").stdout(0);
    let ids = regex::Regex::new("(tk|spa|m2m)_[0-9a-hjkmnp-tv-z]{10}").unwrap();
    let instants = regex::Regex::new(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ").unwrap();
    let mut wrong = Vec::new();
    for case in &cases {
        let args: Vec<_> = case["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let ran = args.iter().fold(dir.command(""), |command, arg| command.arg(arg));
        let ran = ran.env("PORTCULLIS_DB", "sqlite:registry.db").arg("--user").arg("ana").run();
        let stderr = instants.replace_all(&ids.replace_all(&ran.stderr, "${1}_ID"), "NOW").into_owned();
        let lines = case["stderr"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
        let expected = lines.fold(String::new(), |text, line| text + line + "\n");
        if (i64::from(ran.code), &stderr) != (case["code"].as_i64().unwrap(), &expected) || !ran.stdout.is_empty() {
            wrong.push(format!("{args:?}: {}\n{}{stderr}", ran.code, ran.stdout));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(dir.ana("trail --format json").stdout(0), trail, "a mistake changed something");
}
