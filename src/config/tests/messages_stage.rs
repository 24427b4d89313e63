//! How faults of stages read.

use insta::assert_snapshot;

use super::support::FakeWorld;

#[test]
fn from_the_wrong_kind() {
    let text = "[stages.c]\nkind = \"command\"\nrun = \"true\"\nfrom = \"c\"\n[stages.clone]\nfrom = \"c\"\n[stages.export]\n[stages.pack-ova]\nfrom = \"clone\"\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: a stage of kind `command` comes from nothing
     --> builds.toml:4:8
      |
    4 | from = "c"
      |        ^^^
      |
      = help: to wait for another stage, list it in `needs`

    error: a stage of kind `clone` cannot come from `c`, of kind `command`
     --> builds.toml:6:8
      |
    6 | from = "c"
      |        ^^^
      |
      = help: it comes from a stage of kind `iso-base`, `clone` or `provision`

    error: the stage `export` needs `from`
     --> builds.toml:7:9
      |
    7 | [stages.export]
      |         ^^^^^^
      |
      = help: a stage of kind `export` comes from one of kind `iso-base`, `clone` or `provision`

    error: a stage of kind `pack-ova` cannot come from `clone`, of kind `clone`
     --> builds.toml:9:8
      |
    9 | from = "clone"
      |        ^^^^^^^
      |
      = help: it comes from a stage of kind `export`
    "#);
}

#[test]
fn outputs_written_twice() {
    let text = "[axes]\nos = [\"a\", \"b\"]\n[stages.x]\nkind = \"command\"\nrun = \"true {{ axis.os }}\"\noutputs = { o = \"out/x\" }\n[stages.y]\nkind = \"command\"\nrun = \"true\"\noutputs = { o = \"./out//y\" }\n[stages.z]\nkind = \"command\"\nrun = \"true\"\noutputs = { o = \"out/y\", p = \"../z\", q = \"/etc\" }\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: `x[os=a]` and `x[os=b]` both write `out/x`
     --> builds.toml:6:11
      |
    6 | outputs = { o = "out/x" }
      |           ^^^^^^^^^^^^^^^
      |
      = help: put `{{ axis.os }}` into it

    error: `y` and `z` both write `out/y`
      --> builds.toml:14:11
       |
    14 | outputs = { o = "out/y", p = "../z", q = "/etc" }
       |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^

    error: `../z` leads out of the project
      --> builds.toml:14:30
       |
    14 | outputs = { o = "out/y", p = "../z", q = "/etc" }
       |                              ^^^^^^

    error: `/etc` is not relative to the project
      --> builds.toml:14:42
       |
    14 | outputs = { o = "out/y", p = "../z", q = "/etc" }
       |                                          ^^^^^^
    "#);
}

#[test]
fn missing_files() {
    let text = "[scopes.gone]\nfile = \"vars/gone.toml\"\n[stages.iso-base]\niso = { url = \"x.iso\" }\nkickstart = { dir = \"ks\" }\nssh = { user = \"root\" }\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: the variables file `vars/gone.toml` does not exist
     --> builds.toml:2:8
      |
    2 | file = "vars/gone.toml"
      |        ^^^^^^^^^^^^^^^^

    error: `iso` needs `checksum`
     --> builds.toml:4:1
      |
    4 | iso = { url = "x.iso" }
      | ^^^
      |
      = help: `sha256:…`, `file:URL` of a list of checksums, or `none`; only the output of a stage needs none

    error: the directory `ks` does not exist
     --> builds.toml:5:21
      |
    5 | kickstart = { dir = "ks" }
      |                     ^^^^

    error: `ssh` needs a way to log in
     --> builds.toml:6:1
      |
    6 | ssh = { user = "root" }
      | ^^^
      |
      = help: one of `password`, `key_file`, `agent = true`, `generate_key = true`
    "#);
}

#[test]
fn files_and_actions_of_steps() {
    let text = r#"
[stages.iso-base]
iso = { url = "x.iso", checksum = "sha256:07b94e6b1a0b0260b94c83d6bb76b26bf7a310dc78d7a9c7432809fb9bc6194a" }
ssh = { user = "root", agent = true }
[stages.provision]
from = "iso-base"
steps = [
    { upload = { source = "nope", to = "/x" } },
    { shell = { script = "a.sh" } },
    { shell = {} },
    {},
    { pause = "1s", reboot = true },
    { check = { gossfile = "g.yaml" } },
]
"#;
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: the source `nope` does not exist
     --> builds.toml:8:27
      |
    8 |     { upload = { source = "nope", to = "/x" } },
      |                           ^^^^^^

    error: the script `a.sh` does not exist
     --> builds.toml:9:26
      |
    9 |     { shell = { script = "a.sh" } },
      |                          ^^^^^^

    error: `shell` needs `inline`, `script` or `scripts`
      --> builds.toml:10:15
       |
    10 |     { shell = {} },
       |               ^^

    error: a step needs one of `upload`, `shell`, `local`, `reboot`, `pause` or `check`
      --> builds.toml:11:5
       |
    11 |     {},
       |     ^^

    error: a step does one thing: `pause` or `reboot`
      --> builds.toml:12:21
       |
    12 |     { pause = "1s", reboot = true },
       |       -----         ^^^^^^
       |       |
       |       the first one
       |
       = help: make two steps of it

    error: the gossfile `g.yaml` does not exist
      --> builds.toml:13:28
       |
    13 |     { check = { gossfile = "g.yaml" } },
       |                            ^^^^^^^^
    "#);
}

#[test]
fn boot_keys_and_patterns() {
    let text = "[scopes.os]\nvalues = { keys = \"<tabb>\" }\n[stages.iso-base]\nscopes = [\"os\"]\niso = { url = \"x.iso\", checksum = \"sha256:abc\" }\nboot = { wait_text = \"a(\", keys = \"<tab> ks=http://{{ http.ip }}:{{ http.port }}/ks<entre>\" }\nssh = { user = \"root\", agent = true }\n[stages.second]\nkind = \"iso-base\"\nscopes = [\"os\"]\niso = { checksum = \"none\" }\nboot = { keys = \"{{ os.keys }}\" }\nssh = { agent = true }\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    warning: the ISO is not verified (`second`)
      --> builds.toml:11:20
       |
    11 | iso = { checksum = "none" }
       |                    ^^^^^^

    error: sha256 has 64 hexadecimal digits, here are 3
     --> builds.toml:5:35
      |
    5 | iso = { url = "x.iso", checksum = "sha256:abc" }
      |                                   ^^^^^^^^^^^^

    error: not a regular expression: unclosed group
     --> builds.toml:6:22
      |
    6 | boot = { wait_text = "a(", keys = "<tab> ks=http://{{ http.ip }}:{{ http.port }}/ks<entre>" }
      |                      ^^^^
      |
      = help: characters such as `[`, `(` and `.` stand for themselves after a backslash; write it in single quotes

    error: unknown key `<entre>`
     --> builds.toml:6:84
      |
    6 | boot = { wait_text = "a(", keys = "<tab> ks=http://{{ http.ip }}:{{ http.port }}/ks<entre>" }
      |                                                                                    ^^^^^^^
      |
      = help: did you mean `<enter>`?

    error: `iso` needs `url` or `urls`
      --> builds.toml:11:1
       |
    11 | iso = { checksum = "none" }
       | ^^^

    error: unknown key `<tabb>`
      --> builds.toml:12:17
       |
    12 | boot = { keys = "{{ os.keys }}" }
       |                 ^^^^^^^^^^^^^^^
       |
       = help: did you mean `<tab>`?

    error: `ssh` needs `user`
      --> builds.toml:13:1
       |
    13 | ssh = { agent = true }
       | ^^^
    "#);
}

#[test]
fn weak_checksums_are_warnings() {
    let text = "[stages.iso-base]\niso = { url = \"x\", checksum = \"md5:d41d8cd98f00b204e9800998ecf8427e\" }\nssh = { user = \"u\", agent = true }\n";
    let loaded = FakeWorld::new(text).loaded();
    assert_snapshot!(crate::diag::render(&loaded.warnings, false), @r#"
    warning: md5 protects against accidents only: prefer sha256 (`iso-base`)
     --> builds.toml:2:31
      |
    2 | iso = { url = "x", checksum = "md5:d41d8cd98f00b204e9800998ecf8427e" }
      |                               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
    "#);
}

#[test]
fn commands_that_cannot_be() {
    let text = "[stages.a]\nkind = \"command\"\n[stages.b]\nkind = \"command\"\nrun = []\ninputs = [\"src/{a\", \"\"]\noutputs = { \"a b\" = \"x\" }\n[stages.c]\nkind = \"command\"\nrun = \" \"\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: the stage `a` needs `run`
     --> builds.toml:1:9
      |
    1 | [stages.a]
      |         ^

    error: there is nothing to run
     --> builds.toml:5:7
      |
    5 | run = []
      |       ^^

    error: not a glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)
     --> builds.toml:6:11
      |
    6 | inputs = ["src/{a", ""]
      |           ^^^^^^^^

    error: the path is empty
     --> builds.toml:6:21
      |
    6 | inputs = ["src/{a", ""]
      |                     ^^

    error: ` ` cannot stand in a name; letters, digits, `-`, `_` and `.` can
     --> builds.toml:7:13
      |
    7 | outputs = { "a b" = "x" }
      |             ^^^^^

    error: there is nothing to run
      --> builds.toml:10:7
       |
    10 | run = " "
       |       ^^^
    "#);
}

#[test]
fn steps_that_do_nothing() {
    let text = "[axes]\nos = [\"a\"]\n[stages.iso-base]\niso = { url = \"x\", checksum = \"none\" }\nssh = { user = \"u\", agent = true }\n[stages.provision]\nfrom = \"iso-base\"\nsteps = [\n{ reboot = false },\n{ pause = \"5\" },\n{ pause = \"1s\", only = { so = \"a\" } },\n{ pause = \"1s\", except = { os = [\"b\"] } },\n{ upload = { to = \"/x\" } },\n{ local = {} },\n]\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    warning: the ISO is not verified (`iso-base`)
     --> builds.toml:4:31
      |
    4 | iso = { url = "x", checksum = "none" }
      |                               ^^^^^^

    error: a step that does nothing: `reboot` is `true` or a table
     --> builds.toml:9:12
      |
    9 | { reboot = false },
      |            ^^^^^

    error: expected a duration, such as `1m30s`
      --> builds.toml:10:11
       |
    10 | { pause = "5" },
       |           ^^^

    error: unknown axis `so`
      --> builds.toml:11:26
       |
    11 | { pause = "1s", only = { so = "a" } },
       |                          ^^
       |
       = help: the axes are `os`

    error: the axis `os` has no value `b`
      --> builds.toml:12:34
       |
    12 | { pause = "1s", except = { os = ["b"] } },
       |                                  ^^^
       |
       = help: its values are `a`

    error: `upload` needs `source`
      --> builds.toml:13:12
       |
    13 | { upload = { to = "/x" } },
       |            ^^^^^^^^^^^^^

    error: `local` needs `run`
      --> builds.toml:14:11
       |
    14 | { local = {} },
       |           ^^
    "#);
}

#[test]
fn appliances_that_cannot_be() {
    let text = "[stages.export]\nfrom = \"x\"\n[stages.pack-ova]\nfrom = \"export\"\ndigest = \"md5\"\nvariant = \"hyperv\"\novf = \"1.0\"\ntransport = [\"iso\", \"pigeon\"]\nsign = { key_file = \"k.pem\" }\novf_template = \"/etc/x\"\n[stages.pack-ova.properties]\na = { value = \"x\", type = \"uint8\" }\nb = { value = \"x\", type = \"word\" }\nc = { qualifiers = \"MinLen\" }\nd = { user_configurable = false }\n";
    let faults = FakeWorld::new(text).faults();
    for fault in [
        "expected `sha256` or `sha512`, found `md5`",
        "expected `vmware` or `virtualbox`, found `hyperv`",
        "expected `1.1` or `2.0`, found `1.0`",
        "found `pigeon`",
        "a signature needs `certificate`",
        "the property `a`: `x` is no value of type uint8",
        "found `word`",
        "the property `c`: the qualifiers `MinLen` cannot be read",
        "a property needs `value`",
    ] {
        assert!(faults.contains(fault), "{fault} is not in\n{faults}");
    }
}

#[test]
fn what_a_command_tells_that_it_reads() {
    let text = "[pools]\nlink = 2\n[stages.a]\nkind = \"command\"\nrun = \"true\"\ndeps = \"gcc\"\npool = \"lnk\"\n[stages.b]\nkind = \"command\"\nrun = \"true\"\ndeps = \"msvc\"\ndepfile = \"b.d\"\n[stages.c]\nkind = \"command\"\nrun = \"true\"\ndepfile = \"../c.d\"\ndeps_prefix = \"x\"\n[stages.e]\nkind = \"command\"\nrun = \"true\"\ndepfile = \"e.d\"\noutputs = { d = \"e.d\" }\n[stages.f]\nkind = \"command\"\nrun = \"true\"\ndepfile = \"e.d\"\n[stages.d]\nkind = \"command\"\nrun = \"true\"\ndeps = \"make\"\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: `deps = "gcc"` needs a `depfile`
     --> builds.toml:6:8
      |
    6 | deps = "gcc"
      |        ^^^^^
      |
      = help: such as `depfile = "build/main.d"`, and `-MD -MF build/main.d` for the compiler

    error: unknown pool `lnk`
     --> builds.toml:7:8
      |
    7 | pool = "lnk"
      |        ^^^^^
      |
      = help: did you mean `link`?

    error: `depfile` and `deps = "msvc"` both tell what was read
      --> builds.toml:12:1
       |
    12 | depfile = "b.d"
       | ^^^^^^^

    error: `../c.d` leads out of the project
      --> builds.toml:16:11
       |
    16 | depfile = "../c.d"
       |           ^^^^^^^^

    error: `deps_prefix` is for `deps = "msvc"` alone
      --> builds.toml:17:1
       |
    17 | deps_prefix = "x"
       | ^^^^^^^^^^^

    error: `e` and `f` both write `e.d`
      --> builds.toml:26:11
       |
    26 | depfile = "e.d"
       |           ^^^^^

    error: expected `gcc` or `msvc`, found `make`
      --> builds.toml:30:8
       |
    30 | deps = "make"
       |        ^^^^^^
    "#);
}

#[test]
fn a_pool_that_is_not_there() {
    let text =
        "[stages.a]\nkind = \"command\"\nrun = \"true\"\npool = \"link\"\n[pools]\nfull = 0\n";
    assert_snapshot!(FakeWorld::new(text).faults(), @r#"
    error: unknown pool `link`
     --> builds.toml:4:8
      |
    4 | pool = "link"
      |        ^^^^^^
      |
      = help: say how many of its stages run at one time: `[pools]`, `link = 1`

    error: expected 1 to 4294967295, found 0
     --> builds.toml:6:8
      |
    6 | full = 0
      |        ^
    "#);
}
