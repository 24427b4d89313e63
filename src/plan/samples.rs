//! One stage of each kind with every field filled, for tests.

use std::collections::BTreeMap;

use crate::model::{
    Algorithm, Boot, Checks, Checksum, Clone, Command, CommandLine, Controller, Digest, Disk,
    Duration, Export, Firmware, Hardware, Input, IsoBase, IsoSource, Kickstart, Late, Layout,
    Login, MediaFile, MediaVia, Name, Nic, NicAdapter, Origin, OvfVersion, PackOva, Part, Project,
    Property, Provision, Publish, RunVar, Shell, ShellSource, Signing, Size, Ssh, Stage, StageKey,
    StageKind, Step, StepAction, Text, Variant, Verify,
};

use super::{Facts, FileFact, FileFacts, FileKind, inputs_of};

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

pub(super) fn key(text: &str) -> StageKey {
    StageKey {
        name: name(text),
        axes: BTreeMap::new(),
    }
}

pub(super) fn stage(key_: &str, needs: &[&str], kind: StageKind) -> Stage {
    Stage {
        key: key(key_),
        origin: Origin {
            file: "builds.toml".into(),
            line: 7,
        },
        kind,
        from: None,
        needs: needs.iter().map(|n| key(n)).collect(),
        timeout: Some(Duration::from_secs(60)),
        retries: 1,
        pool: None,
    }
}

fn after(from: &str, key_: &str, kind: StageKind) -> Stage {
    Stage {
        from: Some(key(from)),
        ..stage(key_, &[from], kind)
    }
}

pub(super) fn project(stages: Vec<Stage>) -> Project {
    Project {
        root: "/project".into(),
        name: "k3s".into(),
        version: "1".into(),
        axes: Vec::new(),
        stages,
        targets: BTreeMap::new(),
        default: Vec::new(),
        providers: BTreeMap::new(),
        resources: crate::model::Resources::default(),
        pools: BTreeMap::new(),
    }
}

/// A command that does nothing.
pub(super) fn plain(run: &str) -> Command {
    Command {
        run: CommandLine::Shell(run.into()),
        inputs: Vec::new(),
        discovers: None,
        outputs: BTreeMap::new(),
        env: BTreeMap::new(),
        pass_env: Vec::new(),
        dir: None,
        always: false,
    }
}

pub(crate) fn command() -> Stage {
    let mut all = plain("scripts/build.sh");
    all.run = CommandLine::Argv(vec![
        "scripts/build.sh".into(),
        Text::from_parts(vec![Part::Late(Late::OwnOutput(name("iso")))]),
    ]);
    all.inputs = vec![
        Input::Path("scripts/build.sh".into()),
        Input::Glob("scripts/mini/**".into()),
    ];
    all.outputs = BTreeMap::from([(name("iso"), "mini.iso".into())]);
    all.env = BTreeMap::from([("SIZE".into(), "small".into())]);
    all.pass_env = vec!["HOME".into()];
    all.dir = Some("scripts".into());
    stage("test-iso", &["tools"], StageKind::Command(all))
}

pub(crate) fn hardware() -> Hardware {
    Hardware {
        cpus: 2,
        cores_per_socket: 1,
        memory: Size::from_mib(2048),
        firmware: Firmware::Bios,
        disks: vec![Disk {
            size: Size::from_mib(65536),
            controller: Controller::Pvscsi,
        }],
        nics: vec![Nic {
            adapter: NicAdapter::Vmxnet3,
            network: "VM Network".into(),
            mac: None,
        }],
        guest_id: Some("debian12_64Guest".into()),
        hardware_version: 13,
        vsphere: None,
    }
}

pub(super) fn ssh() -> Ssh {
    Ssh {
        user: "root".into(),
        login: Login {
            password: Some(secret("password")),
            key_file: Some("~/.ssh/id".into()),
            agent: false,
            generate_key: false,
        },
        port: 22,
        timeout: Duration::from_secs(1800),
    }
}

pub(super) fn secret(variable: &str) -> Text {
    Text::from_parts(vec![Part::Late(Late::Secret {
        scope: name("common"),
        variable: variable.into(),
        digest: None,
    })])
}

pub(super) fn iso_base() -> Stage {
    let kind = IsoBase {
        provider: name("local"),
        hardware: hardware(),
        iso: IsoSource {
            urls: vec!["https://example.org/a.iso".into()],
            checksum: Some(Checksum::parse("c2883a42e402a2330d9c39b4d1e071cf9b3b5898").unwrap()),
        },
        kickstart: Some(Kickstart {
            files: vec![
                MediaFile::Text {
                    path: "ks.cfg".into(),
                    content: Text::from_parts(vec![
                        Part::Literal("lang en\nrootpw ".into()),
                        secret("password").parts()[0].clone(),
                    ]),
                },
                MediaFile::Copy {
                    path: "motd".into(),
                    source: "kickstart/motd".into(),
                },
            ],
            via: MediaVia::Floppy,
            label: "OEMDRV".into(),
        }),
        boot: Boot {
            wait: Some(Duration::from_secs(15)),
            wait_text: Some("boot:".into()),
            wait_timeout: Duration::from_secs(60),
            keys: "<tab> text ks=hd:fd0:/ks.cfg<enter>".into(),
            interval: Some(Duration::from_millis(20)),
            layout: Layout::De,
        },
        ssh: ssh(),
        shutdown: Some("shutdown -h now".into()),
        checkpoint: crate::model::Checkpointing::Auto,
        vm_name: None,
    };
    stage("iso-base", &[], StageKind::IsoBase(Box::new(kind)))
}

pub(super) fn clone() -> Stage {
    let kind = Clone {
        source: None,
        hardware: hardware(),
        ssh: ssh(),
    };
    after("iso-base", "clone", StageKind::Clone(kind))
}

pub(super) fn step(action: StepAction) -> Step {
    Step {
        title: "a step".into(),
        action,
        retries: 2,
        timeout: Some(Duration::from_secs(60)),
        pause_before: None,
        checkpoint: None,
    }
}

pub(super) fn shell(scripts: Vec<ShellSource>) -> Shell {
    Shell {
        scripts,
        env: BTreeMap::from([("REGISTRY".into(), "registry:5000".into())]),
        sudo: false,
        valid_exit_codes: vec![0, 3],
        interpreter: "/bin/sh -eu".into(),
        dir: Some("/root".into()),
        expect_disconnect: false,
    }
}

pub(super) fn checks(file: &str) -> Checks {
    Checks {
        gossfiles: vec![file.into()],
        includes: Vec::new(),
        inline: Some(r#"{"port":{"tcp:22":{"listening":true}}}"#.into()),
        scopes: r#"{"common":{"a":1}}"#.into(),
        vars_files: Vec::new(),
        vars: Some(r#"{"ip":"10.0.2.15"}"#.into()),
    }
}

pub(super) fn provision() -> Stage {
    let mut local = plain("scripts/local.sh");
    local.inputs = vec![Input::Path("scripts/local.sh".into())];
    let mut paused = step(StepAction::Upload {
        source: "scripts/k3s/".into(),
        to: "/root/scripts".into(),
    });
    paused.pause_before = Some(Duration::from_secs(2));
    let kind = Provision {
        hardware: hardware(),
        ssh: ssh(),
        steps: vec![
            paused,
            step(StepAction::Shell(shell(vec![
                ShellSource::File("scripts/install.sh".into()),
                ShellSource::Inline("echo done".into()),
            ]))),
            step(StepAction::Local(local)),
            step(StepAction::Reboot {
                command: Some("reboot".into()),
                timeout: Duration::from_secs(300),
            }),
            step(StepAction::Pause(Duration::from_secs(1))),
            step(StepAction::Check(checks("checks.yaml"))),
        ],
        shutdown: Some("poweroff".into()),
        checkpoint: crate::model::Checkpointing::Auto,
        trim: crate::model::Trim::Auto,
        vm_name: None,
    };
    after("clone", "provision", StageKind::Provision(kind))
}

pub(super) fn export() -> Stage {
    let kind = Export {
        name: "k3s-mini".into(),
        level: 6,
    };
    after("provision", "export", StageKind::Export(kind))
}

fn property() -> Property {
    Property {
        key: String::new(),
        value: "".into(),
        user_configurable: true,
        kind: "string".into(),
        password: false,
        qualifiers: None,
        category: None,
        label: None,
        description: None,
    }
}

pub(super) fn pack_ova() -> Stage {
    let kind = PackOva {
        name: "k3s-mini".into(),
        properties: vec![
            Property {
                key: "BUILD_DATE".into(),
                value: Text::from_parts(vec![Part::Late(Late::Run(RunVar::Date))]),
                user_configurable: false,
                ..property()
            },
            Property {
                key: "A".into(),
                value: "1".into(),
                ..property()
            },
        ],
        product: "k3s".into(),
        vendor: Some("ACME".into()),
        version: "1.2".into(),
        full_version: Some("1.2-g1".into()),
        product_url: Some("https://p".into()),
        vendor_url: Some("https://v".into()),
        app_url: Some("https://a".into()),
        class: Some("com.acme".into()),
        instance: Some("i".into()),
        annotation: Some("a note".into()),
        eulas: vec!["none".into()],
        transports: vec!["iso".into()],
        hardware_versions: vec![14, 15],
        tpm: false,
        digest: Algorithm::Sha256,
        variant: Variant::Vmware,
        ovf: OvfVersion::First,
        sign: Some(Signing {
            key_file: "key.pem".into(),
            certificate: "certificate.pem".into(),
        }),
        template: Some("appliance.ovf.j2".into()),
        manifest: BTreeMap::from([("git".into(), "abc".into())]),
    };
    after("export", "pack-ova", StageKind::PackOva(kind))
}

pub(super) fn verify() -> Stage {
    let kind = Verify {
        provider: name("local"),
        ssh: ssh(),
        checks: checks("scripts/goss/goss.yaml"),
        retry_timeout: Some(Duration::from_secs(30)),
        sleep: Duration::from_secs(1),
    };
    after("pack-ova", "verify", StageKind::Verify(Box::new(kind)))
}

pub(super) fn publish() -> Stage {
    let kind = Publish {
        provider: name("vcenter"),
        library: "images".into(),
        item: Some("k3s-mini".into()),
    };
    after("pack-ova", "publish", StageKind::Publish(kind))
}

pub(super) fn all() -> Vec<Stage> {
    vec![
        command(),
        iso_base(),
        clone(),
        provision(),
        export(),
        pack_ova(),
        verify(),
        publish(),
    ]
}

/// Facts under which every input of `stages` exists; a file's content is its name.
pub(super) fn facts(stages: &[Stage]) -> Facts {
    let mut facts = Facts {
        identities: BTreeMap::from([
            (
                name("local"),
                vec![("qemu version".to_owned(), "7.2".to_owned())],
            ),
            (
                name("vcenter"),
                vec![
                    ("server".to_owned(), "vc.example.org".to_owned()),
                    ("datastore".to_owned(), "vsan".to_owned()),
                ],
            ),
        ]),
        ..Facts::default()
    };
    for input in stages.iter().flat_map(inputs_of) {
        let path = match &input {
            Input::Path(path) | Input::Unignored(path) => path.clone(),
            Input::Glob(glob) => glob.replace("**", "init"),
        };
        let found = vec![file(&path, &path)];
        facts.files.insert(input, FileFacts::Found(found));
    }
    facts
}

pub(super) fn file(path: &str, content: &str) -> FileFact {
    FileFact {
        path: path.into(),
        digest: Digest::of(content.as_bytes()),
        kind: FileKind::File,
    }
}
