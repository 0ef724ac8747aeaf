//! A catalog for the policy of the workload, in the order of an export. A seed gives the same tables on every machine.
//!
//! The number of tables of a connection follows its popularity (Zipf). The tables are in the 20 databases of the
//! policy, and in two databases that no grant names. One table in a hundred has a name that must be quoted.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{CONNECTIONS, DATABASES, SCHEMAS, connection, table};

const ARCHIVES: usize = 2;

/// A table with its connection, and the parts of its name as in `INFORMATION_SCHEMA`.
pub struct Table<'t> {
    pub connection: &'t str,
    pub parts: [&'t str; 3],
}

/// Calls `see` with each of about `names` tables, and never with fewer.
pub fn catalog<E>(names: u64, seed: u64, mut see: impl FnMut(Table<'_>) -> Result<(), E>) -> Result<(), E> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let all: f64 = (1..=CONNECTIONS).map(|rank| 1.0 / rank as f64).sum();
    for number in 0..CONNECTIONS {
        let connection = connection(number);
        let share = names as f64 / (number as f64 + 1.0) / all;
        let tables = (share / ((DATABASES + ARCHIVES) * SCHEMAS) as f64).ceil() as usize;
        for database in 0..DATABASES + ARCHIVES {
            for schema in 0..SCHEMAS {
                let mut own: Vec<String> = (0..tables).map(|at| table(database, schema, at)).collect();
                for name in &mut own {
                    if rng.random_range(0..100) == 0 {
                        name.push_str([" copy", "-2025", "\"old\""][rng.random_range(0..3)]);
                    }
                }
                own.sort_unstable();
                let archive = format!("archive_{database:02}");
                for name in &own {
                    let mut parts = name.splitn(3, '.');
                    let mut part = || parts.next().unwrap_or_default();
                    let (own, schema, table) = (part(), part(), part());
                    let database = if database < DATABASES { own } else { &archive };
                    see(Table { connection: &connection, parts: [database, schema, table] })?;
                }
            }
        }
    }
    Ok(())
}
