//! How faults of machines, providers and checks read.

use insta::assert_snapshot;

use super::support::FakeWorld;

#[test]
fn providers_of_no_kind() {
    let text = "[providers.a]\ntype = \"qemu\"\naccell = \"kvm\"\naccelerator = \"fast\"\n[providers.b]\n[providers.c]\ntype = \"quemu\"\n[stages.iso-base]\nprovider = \"aa\"\niso = { url = \"x\" }\nssh = { user = \"root\", agent = true }\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: unknown key `accell` in a provider of type `qemu`
     --> builds.toml:3:1
      |
    3 | accell = "kvm"
      | ^^^^^^
      |
      = help: known keys: type, scopes, accelerator, binary, cpu, firmware_code, firmware_vars

    error: expected `auto`, `kvm`, `hvf`, `whpx` or `tcg`, found `fast`
     --> builds.toml:4:15
      |
    4 | accelerator = "fast"
      |               ^^^^^^

    error: the provider `b` needs a `type`
     --> builds.toml:5:12
      |
    5 | [providers.b]
      |            ^
      |
      = help: `type = "qemu"` or `type = "vsphere"`

    error: expected `qemu` or `vsphere`, found `quemu`
     --> builds.toml:7:8
      |
    7 | type = "quemu"
      |        ^^^^^^^
      |
      = help: did you mean `qemu`?

    error: unknown provider `aa`
     --> builds.toml:9:12
      |
    9 | provider = "aa"
      |            ^^^^

    error: `iso` needs `checksum`
      --> builds.toml:10:1
       |
    10 | iso = { url = "x" }
       | ^^^
       |
       = help: `sha256:…`, `file:URL` of a list of checksums, or `none`; only the output of a stage needs none
    "#);
}

#[test]
fn hardware_that_cannot_be() {
    let text = "[machine]\ncpus = 3\ncores_per_socket = 2\nmemory = \"1000\"\ndisks = []\nnics = [{ adapter = \"rtl8139\" }]\n[stages.iso-base]\niso = { url = \"x\" }\nssh = { user = \"root\", agent = true }\n[stages.clone]\nfrom = \"iso-base\"\nmachine = { disks = [{ size = \"1MiB\" }] }\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: 3 CPUs cannot stand on sockets of 2 cores
     --> builds.toml:3:20
      |
    3 | cores_per_socket = 2
      |                    ^
      |
      = help: `cores_per_socket` divides `cpus`

    error: expected a size, such as `64GiB`
     --> builds.toml:4:10
      |
    4 | memory = "1000"
      |          ^^^^^^

    error: a machine needs a disk
     --> builds.toml:5:9
      |
    5 | disks = []
      |         ^^

    error: expected `e1000`, `e1000e`, `vmxnet3` or `virtio`, found `rtl8139`
     --> builds.toml:6:21
      |
    6 | nics = [{ adapter = "rtl8139" }]
      |                     ^^^^^^^^^

    error: `iso` needs `checksum`
     --> builds.toml:8:1
      |
    8 | iso = { url = "x" }
      | ^^^
      |
      = help: `sha256:…`, `file:URL` of a list of checksums, or `none`; only the output of a stage needs none
    "#);
}

#[test]
fn machines_that_do_not_fit_what_they_come_from() {
    let text = "[machine]\ndisks = [{ size = \"2GiB\" }, { size = \"1GiB\" }]\n[stages.iso-base]\niso = { url = \"x\", checksum = \"none\" }\nssh = { user = \"u\", agent = true }\nprovider = \"locale\"\nmachine = { memory = \"1MiB\", nics = [] }\n[stages.clone]\nfrom = \"iso-base\"\nmachine = { disks = [{ size = \"1GiB\" }] }\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    warning: the ISO is not verified (`iso-base`)
     --> builds.toml:4:31
      |
    4 | iso = { url = "x", checksum = "none" }
      |                               ^^^^^^

    error: unknown provider `locale`
     --> builds.toml:6:12
      |
    6 | provider = "locale"
      |            ^^^^^^^^
      |
      = help: did you mean `local`?

    error: memory is a multiple of 1MiB, at least 16MiB; this is 1MiB
     --> builds.toml:7:22
      |
    7 | machine = { memory = "1MiB", nics = [] }
      |                      ^^^^^^

    error: a machine needs a network adapter: SSH goes over it
     --> builds.toml:7:37
      |
    7 | machine = { memory = "1MiB", nics = [] }
      |                                     ^^

    error: the machine that it comes from has 2 disks, here are 1
      --> builds.toml:10:21
       |
    10 | machine = { disks = [{ size = "1GiB" }] }
       |                     ^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn checks_are_read_where_they_stand() {
    let text = "[stages.iso-base]\niso = { url = \"x\", checksum = \"none\" }\nssh = { user = \"u\", agent = true }\n[stages.export]\nfrom = \"iso-base\"\n[stages.pack-ova]\nfrom = \"export\"\nname = \"a/b\"\n[stages.verify]\nfrom = \"pack-ova\"\ngossfile = \"g.yaml\"\nchecks = { comand = { x = { exit-status = 0 } }, command = { y = { exit-status = \"{{ run.id }}\" } } }\n";
    let world = FakeWorld::new(text).file("g.yaml", "port:\n  tcp:22:\n    listning: true\n");
    assert_snapshot!(world.faults(), @r#"
    warning: the ISO is not verified (`iso-base`)
     --> builds.toml:2:31
      |
    2 | iso = { url = "x", checksum = "none" }
      |                               ^^^^^^

    error: `a/b` cannot be the name of a file
     --> builds.toml:8:8
      |
    8 | name = "a/b"
      |        ^^^^^

    error: `run.id` is known only when the stage runs, this setting is needed before
      --> builds.toml:12:82
       |
    12 | checks = { comand = { x = { exit-status = 0 } }, command = { y = { exit-status = "{{ run.id }}" } } }
       |                                                                                  ^^^^^^^^^^^^^^

    error: `port` has no attribute `listning`
     --> g.yaml:3:5
      |
    3 |     listning: true
      |     ^^^^^^^^
      |
      = help: did you mean `listening`?
    "#);
}

#[test]
fn clones_of_nothing_and_of_two_things() {
    let text = "[providers.lab]\ntype = \"vsphere\"\n[stages.base]\nkind = \"clone\"\nsource = { snapshot = \"s\" }\n[stages.both]\nkind = \"clone\"\nfrom = \"base\"\nsource = { vm = \"v\" }\n[stages.clone]\nfrom = \"base\"\nprovider = \"lab\"\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: the stage `base` needs `ssh`
     --> builds.toml:3:9
      |
    3 | [stages.base]
      |         ^^^^
      |
      = help: say how the installed system is reached: `ssh = { user = "root", password = "…" }`

    error: `source` needs `vm`
     --> builds.toml:5:1
      |
    5 | source = { snapshot = "s" }
      | ^^^^^^

    error: the stage `both` needs `ssh`
     --> builds.toml:6:9
      |
    6 | [stages.both]
      |         ^^^^
      |
      = help: say how the installed system is reached: `ssh = { user = "root", password = "…" }`

    error: the stage `both` has both `from` and `source`
     --> builds.toml:8:8
      |
    8 | from = "base"
      |        ^^^^^^ a stage's machine
    9 | source = { vm = "v" }
      |          ------------ a machine on a server
      |
      = help: remove one of them

    error: a clone of a stage's machine is where that is
      --> builds.toml:12:12
       |
    12 | provider = "lab"
       |            ^^^^^
       |
       = help: remove `provider`, or say with `source` which machine there is cloned
    "#);
}

#[test]
fn addresses_that_are_none() {
    let text = "[providers.lab]\ntype = \"vsphere\"\n[stages.clone]\nsource = { vm = \"v\" }\nssh = { user = \"root\", agent = true }\n[stages.clone.machine]\nnics = [{ mac = \"01:50:56:01:02:03\" }]\n[stages.clone.machine.vsphere.customization]\nspec = \"kept\"\nnics = [{ address = \"10.0.0.7\", gateway = \"lan\" }]\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: `01:50:56:01:02:03` is no address of a network card
     --> builds.toml:7:17
      |
    7 | nics = [{ mac = "01:50:56:01:02:03" }]
      |                 ^^^^^^^^^^^^^^^^^^^
      |
      = help: six bytes in hexadecimal, the first one even: `00:50:56:01:02:03`

    error: `spec` stands alone: it says all of it
     --> builds.toml:9:8
      |
    9 | spec = "kept"
      |        ^^^^^^
      |
      = help: remove `spec` or the other keys of `customization`

    error: `10.0.0.7` is no address
      --> builds.toml:10:21
       |
    10 | nics = [{ address = "10.0.0.7", gateway = "lan" }]
       |                     ^^^^^^^^^^
       |
       = help: such as `10.20.0.7/24`

    error: `lan` is no gateway
      --> builds.toml:10:43
       |
    10 | nics = [{ address = "10.0.0.7", gateway = "lan" }]
       |                                           ^^^^^
       |
       = help: such as `10.20.0.1`
    "#);
}
