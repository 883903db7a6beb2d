// A program as aya's users write it: a `maps` section in aya's layout, no BTF. Without the core library, so that the
// stock compiler builds it.
#![feature(no_core, lang_items, intrinsics, auto_traits, rustc_attrs)]
#![no_core]
#![allow(internal_features, non_camel_case_types, unconditional_recursion, integer_to_ptr_transmutes)]

#[lang = "pointee_sized"]
pub trait PointeeSized {}
#[lang = "meta_sized"]
pub trait MetaSized: PointeeSized {}
#[lang = "sized"]
pub trait Sized: MetaSized {}
#[lang = "copy"]
pub trait Copy {}
#[lang = "destruct"]
pub trait Destruct {}
#[lang = "drop_in_place"]
unsafe fn drop_in_place<T: PointeeSized>(place: *mut T) {
    drop_in_place(place)
}
#[lang = "freeze"]
unsafe auto trait Freeze {}
#[lang = "sync"]
unsafe auto trait Sync {}
impl Copy for u32 {}
impl Copy for u64 {}
impl<T: PointeeSized> Copy for *mut T {}
impl<T: PointeeSized> Copy for *const T {}

#[rustc_intrinsic]
pub const unsafe fn transmute<Src, Dst>(src: Src) -> Dst;
#[rustc_intrinsic]
pub const fn wrapping_add<T: Copy>(a: T, b: T) -> T;
#[rustc_intrinsic]
pub unsafe fn volatile_load<T>(src: *const T) -> T;

#[repr(C)]
pub struct bpf_map_def {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    id: u32,
    pinning: u32,
}

#[no_mangle]
#[link_section = "maps"]
pub static mut COUNTS: bpf_map_def =
    bpf_map_def { map_type: 2, key_size: 4, value_size: 8, max_entries: 4, map_flags: 0, id: 0, pinning: 0 };

#[no_mangle]
pub static VERDICT: u32 = 2;

#[no_mangle]
#[link_section = "license"]
pub static LICENSE: [u8; 4] = [71, 80, 76, 0];

#[inline(never)]
#[no_mangle]
extern "C" fn bump(value: *mut u64) {
    unsafe { *value = wrapping_add(*value, 1) }
}

#[no_mangle]
#[link_section = "xdp"]
pub extern "C" fn count(_ctx: *mut u32) -> u32 {
    unsafe {
        let lookup: extern "C" fn(*mut bpf_map_def, *const u32) -> u64 = transmute(1u64);
        let key = 1u32;
        let value = lookup(&raw mut COUNTS, &raw const key);
        match value {
            0 => {}
            _ => bump(transmute(value)),
        }
        volatile_load(&raw const VERDICT)
    }
}
