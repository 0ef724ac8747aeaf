// A workspace with sample records, for tests.
"use strict";
const { execFileSync, spawn } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");

const binary = process.env.PORTCULLIS;
/** The folders of a PostgreSQL server's socket and programs; without them, registries are SQLite files. */
const server = process.env.CONSOLE_POSTGRES;
const programs = process.env.CONSOLE_POSTGRES_PROGRAMS;
let databases = 0;

class Workspace {
  constructor() {
    this.folder = fs.mkdtempSync(path.join(os.tmpdir(), "console-"));
    fs.chmodSync(this.folder, 0o700);
    this.db = server ? this.database() : `sqlite:${path.join(this.folder, "registry.db")}`;
    this.children = [];
  }

  /** Creates a database, and returns its URL. */
  database() {
    const name = `console${databases++}`;
    execFileSync(path.join(programs, "createdb"), ["-h", server, "-U", "test", name]);
    return `postgres://test@/${name}?host=${server}`;
  }

  /** Runs a command of the registry, and returns its output. */
  run(...args) {
    const user = args.includes("--user") ? [] : ["--user", "ana"];
    return execFileSync(binary, [...args, "--db", this.db, ...user], { encoding: "utf8", cwd: this.folder, stdio: ["ignore", "pipe", "pipe"] });
  }

  /** Starts a command and waits for a line that matches. */
  start(pattern, ...args) {
    const child = spawn(binary, args, { cwd: this.folder, stdio: ["ignore", "pipe", "pipe"] });
    this.children.push(child);
    let output = "";
    return new Promise((resolve, reject) => {
      const read = (data) => {
        output += data;
        const found = output.match(pattern);
        if (found) resolve(found);
      };
      child.stdout.on("data", read);
      child.stderr.on("data", read);
      if (process.env.CONSOLE_LOG) child.stderr.on("data", (data) => process.stderr.write(data));
      child.on("exit", (code) => reject(new Error(`${args[0]} ended with ${code}: ${output}`)));
    });
  }

  /** Starts the workspace and returns its URL and a login link. */
  async serve(...args) {
    const found = await this.start(/workspace +(\S+)\/\nlogin link +(\S+)\n/, "workspace", "--db", this.db, ...(args.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"]), ...args);
    return { url: found[1], link: found[2] };
  }

  sample() {
    this.run("connections", "add", "carto_dw", "--dialect", "bigquery");
    this.run("connections", "add", "operations", "--dialect", "postgres");
    this.run("named-sources", "create", "top-stores", "--connection", "operations", "--sql", "SELECT * FROM public.stores LIMIT 10");
    const rows = ["connection,name"];
    for (const schema of ["shared", "sales", "hr"]) {
      for (const table of ["roads", "roads_2025", "stores", "customers", "parcels", "visits"]) rows.push(`carto_dw,acme.${schema}.${table}`);
    }
    for (let number = 0; number < 400; number++) rows.push(`carto_dw,acme.tiles.z${number % 17}_tile_${number}`);
    rows.push("operations,db.public.stores", "operations,db.public.orders", "nowhere,a.b.c");
    fs.writeFileSync(path.join(this.folder, "catalog.csv"), `${rows.join("\n")}\n`);
  }

  close() {
    for (const child of this.children) {
      child.removeAllListeners("exit");
      child.kill("SIGTERM");
    }
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

module.exports = { Workspace };
