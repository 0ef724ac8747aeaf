//! Commands on a registry in PostgreSQL.

use serde_json::{Value, json};

use super::super::util::TestCommand;
use super::Dir;
use crate::postgres::{Cluster, Database, PASSWORD};

/// A folder, and the URL of an empty database on the network, without the password.
struct World {
    dir: Dir,
    database: Database,
    url: String,
}

impl World {
    fn new(cluster: &Cluster) -> Self {
        let database = cluster.database();
        let url = database.network_url(cluster.port).replace(&format!(":{PASSWORD}@"), "@");
        Self { dir: Dir::new(), database, url }
    }

    fn command(&self, args: &str) -> TestCommand {
        self.dir.command(args).env("PORTCULLIS_DB", &self.url).env("PGPASSWORD", PASSWORD)
    }

    /// Runs a command as `ana`, and returns its JSON.
    #[track_caller]
    fn json(&self, args: &str) -> Value {
        serde_json::from_str(&self.command(&format!("{args} --user ana --format json")).stdout(0)).unwrap()
    }
}

#[test]
fn every_command_works_on_postgres() {
    let Some(cluster) = Cluster::shared() else { return };
    let world = World::new(cluster);
    let missing = world.command("trail").stderr();
    assert!(missing.contains("holds no registry\nhelp: `portcullis connections add NAME` creates it"), "{missing}");
    world.json("connections add dw --dialect postgres");
    world.json("connections update dw --dialect redshift");
    assert_eq!(world.json("connections list")[0]["dialect"], "redshift");
    let create = "credentials create token --name map --connection dw --source a.b --apis maps --expiration-date 7d";
    let created = world.json(create);
    let (id, secret) = (created["id"].as_str().unwrap(), created["token"].as_str().unwrap());
    let check = |secret: &str, resource: &str| {
        let args = format!("check --token-env TOKEN --api maps --connection dw --resource {resource}");
        world.command(&args).env("TOKEN", secret).run().stdout
    };
    assert_eq!(check(secret, "a.b"), format!("allow, token `{id}`, grant 0\n"));
    world.json("credentials update token map --add-grant dw,a.c");
    assert_eq!(check(secret, "a.c"), format!("allow, token `{id}`, grant 1\n"));
    let rotated = world.json("credentials rotate token map --overlap 1d");
    assert_eq!(check(rotated["token"].as_str().unwrap(), "a.b"), format!("allow, token `{id}`, grant 0\n"));
    world.json("named-sources create daily --sql VALUES(1) --connection dw");
    let machine = world.json("credentials create m2m --title Night");
    assert_eq!(world.json("credentials get m2m Night")["client_id"], machine["client_id"]);
    let trail = world.json("trail");
    assert_eq!(trail.as_array().unwrap().len(), 8);
    assert_eq!(world.json("trail --last 1")[0]["number"], 8);

    // An export can be imported into a SQLite file, and back.
    let exported = world.command("export --all-users --user ana").run().stdout;
    let copy = World::new(cluster);
    std::fs::write(copy.dir.path("export.json"), &exported).unwrap();
    copy.command("import export.json --all-users --user ana").run();
    assert_eq!(copy.command("export --all-users --user ana").stdout(0), exported);
    copy.dir.command("import export.json --all-users --user ana --db sqlite:registry.db").run();
    assert_eq!(copy.dir.command("export --all-users --user ana --db sqlite:registry.db").stdout(0), exported);

    let backup = world.command("backup copy.db").stderr();
    assert!(backup.contains("\nhelp: `pg_dump "), "{backup}");
    assert!(std::fs::read_dir(world.dir.path("")).unwrap().next().is_none(), "a file is left");
    world.json("credentials delete token map");
    assert_eq!(check(rotated["token"].as_str().unwrap(), "a.b"), "deny: token_unknown (401)\n");
    // Neither secrets nor the password are in the database.
    let dump = "SELECT string_agg(t::text, '') FROM (SELECT tokens::text t FROM portcullis.tokens \
                UNION ALL SELECT clients::text FROM portcullis.clients UNION ALL SELECT trail::text FROM portcullis.trail) x";
    let dump = world.database.raw().text(dump).unwrap();
    for secret in [secret, rotated["token"].as_str().unwrap(), machine["client_secret"].as_str().unwrap(), PASSWORD] {
        assert!(!dump.contains(secret));
    }
    assert_eq!(json!(trail[0]["id"]), "dw");
}

#[test]
fn password_comes_from_the_environment_or_the_password_file_and_is_never_shown() {
    let Some(cluster) = Cluster::shared() else { return };
    let world = World::new(cluster);
    let whole = world.database.network_url(cluster.port);
    let file = world.dir.path("pgpass");
    let name = &world.database.name;
    std::fs::write(&file, format!("127.0.0.1:{}:{name}:ana:{PASSWORD}\n", cluster.port)).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let file = file.to_str().unwrap();
    let run = |command: TestCommand| {
        let ran = command.run();
        assert!(!ran.stdout.contains(PASSWORD) && !ran.stderr.contains(PASSWORD), "{} {}", ran.stdout, ran.stderr);
        (ran.code, ran.stderr)
    };
    let add = |name: &str| world.dir.command(&format!("connections add {name} --user ana"));
    assert_eq!(run(add("a").arg("--db").arg(&world.url).env("PGPASSWORD", PASSWORD)).0, 0);
    assert_eq!(run(add("b").arg("--db").arg(&world.url).env("PGPASSFILE", file)).0, 0);
    assert_eq!(run(add("c").env("PORTCULLIS_DB", &whole)).0, 0);
    assert_eq!(run(add("d").env("PORTCULLIS_DB", &format!("{}?password={PASSWORD}", world.url))).0, 0);
    for (command, error) in [
        (add("e").arg("--db").arg(&whole), "the URL of `--db` has a password"),
        (world.dir.command("audit lint").arg("--db").arg(&whole), "the URL of `--db` has a password"),
        (world.dir.command("audit diff").arg(&whole).arg("x.json"), "the URL of `--db` has a password"),
        (world.dir.command("serve --listen 127.0.0.1:0").arg("--db").arg(&whole), "the URL of `--db` has a password"),
        (world.dir.command("validate").arg(&whole), "expected a path, found a URL"),
        (world.dir.command("validate --policy").arg(&whole), ""),
        (world.dir.command("").arg(&whole), "unrecognized subcommand"),
        (add("e").arg(&whole), "unexpected argument"),
        (add("e").arg("--db").arg(&world.url).env("PGPASSWORD", "wrong"), "password authentication failed"),
        (add("e").env("PORTCULLIS_DB", &format!("{whole}?sslmode=verify-full")), "unknown authority"),
        (add("e").env("PORTCULLIS_DB", &whole.replace(name, "none")), "does not exist"),
    ] {
        let (code, stderr) = run(command);
        assert!(code == 2 && stderr.contains(error), "{code} {stderr}");
    }
    let listed: Vec<Value> = serde_json::from_str(&world.command("connections list --format json").stdout(0)).unwrap();
    assert_eq!(listed.iter().map(|connection| &connection["name"]).collect::<Vec<_>>(), ["a", "b", "c", "d"]);
}
