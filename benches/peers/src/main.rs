mod asked;
mod casbins;
mod cedar;
mod door;
mod engine;
mod floors;
mod gate;
mod memory;
mod plain;
mod policy;
mod rego;
mod sets;
#[path = "../../workload/mod.rs"]
mod workload;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

fn main() {}
