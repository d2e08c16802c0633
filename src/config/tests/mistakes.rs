//! Every kind of mistake.

use super::World;

/// Every kind of mistake in the user's file, with what is said of it.
#[test]
fn every_mistake_has_its_place_and_its_words() {
    let cases: &[(&str, &[&str])] = &[
        (
            "schema = 1\n[defaults\n",
            &["user.toml:2:10: this is not TOML: unclosed table, expected `]`"],
        ),
        (
            "schema = 1\nschema = 1\n",
            &["user.toml:2:1: this is not TOML: duplicate key"],
        ),
        (
            "schema = 2\nnew = 1\n",
            &["user.toml:1:10: `schema` is 2, expected 1 (the file is for a newer ssmx; this is 0.1.0)"],
        ),
        ("schema = 0\n", &["user.toml:1:10: `schema` is 0, expected 1"]),
        (
            "schema = \"1\"\n",
            &["user.toml:1:10: `schema` is the string \"1\", expected 1 (write it without quotes: 1)"],
        ),
        (
            "[default]\n",
            &[
                "user.toml:1:2: `default` is not a key that is known at the top of the file (did you mean `defaults`?)",
            ],
        ),
        (
            "[defaults]\nregoin = \"eu-west-2\"\n",
            &["user.toml:2:1: `regoin` is not a key that is known in `[defaults]` (did you mean `region`?)"],
        ),
        (
            "[groups]\nx-y = 1\n[policy]\npools = false\n",
            &["user.toml:3:2: `policy` counts in the system file alone"],
        ),
        (
            "[defaults]\nregion = 7\nprofile = true\ntransport = \"nativ\"\n",
            &[
                "user.toml:2:10: `defaults.region` is the number 7, expected a region, such as \"eu-west-2\"",
                "user.toml:3:11: `defaults.profile` is true, expected a string that is not empty (write it in quotes: \"true\")",
                "user.toml:4:13: `defaults.transport` is the string \"nativ\", expected \"auto\", \"native\" or \"plugin\" (did you mean \"native\"?)",
            ],
        ),
        (
            "defaults = 3\ntargets = []\n[[presets]]\n",
            &[
                "user.toml:1:12: `defaults` is the number 3, expected a table",
                "user.toml:2:11: `targets` is a list, expected a table",
                "user.toml:3:1: `presets` is a list of tables, expected a table",
            ],
        ),
        (
            "[profiles.prod]\naccount = 123456789012\nregions = [\"eu-west-2\", \"x\", 1]\n",
            &[
                "user.toml:2:11: `profiles.prod.account` is the number 123456789012, expected an account id: a string of twelve digits (write it in quotes: \"123456789012\")",
                "user.toml:3:25: `profiles.prod.regions` is the string \"x\", expected a region, such as \"eu-west-2\"",
                "user.toml:3:30: `profiles.prod.regions` is the number 1, expected a region, such as \"eu-west-2\"",
            ],
        ),
        (
            "[profiles.prod]\naccount = \"1234\"\n",
            &[
                "user.toml:2:11: `profiles.prod.account` is the string \"1234\", expected an account id: a string of twelve digits",
            ],
        ),
        (
            "[targets.a]\nid = \"i-xyz\"\n",
            &[
                "user.toml:2:6: `targets.a.id` is the string \"i-xyz\", expected a node id: i-… or mi-… and hexadecimal digits",
            ],
        ),
        (
            "[targets.a]\nprofile = \"p\"\n",
            &[
                "user.toml:1:10: `targets.a` does not say which node it is, expected `id`, or any of `name`, `tags`, `address`, `asg`",
            ],
        ),
        (
            "[targets.a]\nid = \"i-0123456789abcdef0\"\nname = \"b\"\nasg = \"c\"\n",
            &[
                "user.toml:2:1: `targets.a` has both `id` and `name`, `asg`: an id alone says which node it is",
            ],
        ),
        (
            "[profiles.p]\naccount = \"111111111111\"\n[targets.a]\nname = \"b\"\nprofile = \"p\"\naccount = \"222222222222\"\n",
            &[
                "user.toml:6:1: `targets.a.account` is 222222222222, but `[profiles.p]` is pinned to 111111111111",
            ],
        ),
        (
            "[targets.a]\nname = \"\"\naddress = \"10.0.0\"\n[targets.b.tags]\nRole = 7\n",
            &[
                "user.toml:2:8: `targets.a.name` is the string \"\", expected a string that is not empty",
                "user.toml:3:11: `targets.a.address` is the string \"10.0.0\", expected an IP address",
                "user.toml:5:8: `targets.b.tags.Role` is the number 7, expected a string that is not empty (write it in quotes: \"7\")",
            ],
        ),
        (
            "[targets.\"a b\"]\nname = \"x\"\n",
            &[
                "user.toml:1:10: `a b` in `[targets]` cannot be a name: expected letters, digits, `-`, `_` and `.`, at least one letter, no `-` or `.` at the start, 64 characters at most",
            ],
        ),
        (
            "[targets.i-0123456789abcdef0]\nname = \"x\"\n",
            &[
                "user.toml:1:10: `i-0123456789abcdef0` in `[targets]` cannot be a name: it reads as a node's id, which would always win",
            ],
        ),
        (
            "[targets.a]\nname = \"x\"\n[presets.ps]\ntarget = \"a\"\nport = 1\n[groups]\nstop = [\"x\"]\n",
            &[
                "user.toml:3:10: `ps` in `[presets]` cannot be a name: it is a command of `ssmx forward` (ps, stop, logs)",
                "user.toml:7:1: `stop` in `[groups]` cannot be a name: it is a command of `ssmx forward` (ps, stop, logs)",
            ],
        ),
        (
            "[targets.a]\nname = \"x\"\n[aliases]\na = \"a\"\n",
            &[
                "user.toml:4:1: `aliases.a`: the name `a` is used twice, here and by `targets.a` at user.toml:1:10; targets and aliases share one set of names",
            ],
        ),
        (
            "[targets.a]\nname = \"x\"\n[presets.p]\ntarget = \"a\"\nport = 1\n[groups]\np = [\"p\"]\n",
            &[
                "user.toml:7:1: `groups.p`: the name `p` is used twice, here and by `presets.p` at user.toml:3:10; presets and groups share one set of names",
            ],
        ),
        (
            "[aliases]\na = \"b\"\nb = \"c\"\nc = \"a\"\nd = \"a\"\n",
            &["user.toml:2:1: `aliases.a` is a loop: a → b → c → a (an alias leads to a named target)"],
        ),
        (
            "[targets.prod-web]\nname = \"x\"\n[aliases]\na = \"prod-wbe\"\nb = \"a\"\n",
            &[
                "user.toml:4:1: `aliases.a` is \"prod-wbe\", expected the name of a target (did you mean `prod-web`?)",
            ],
        ),
        (
            "[targets.bastion]\nname = \"x\"\n[presets.db]\ntarget = [\"bastion\", \"basion\"]\nport = 1\n[presets.dc]\ntarget = \"zz\"\nport = 1\n",
            &[
                "user.toml:4:1: `presets.db.target` is \"basion\", expected the name of a target or alias, an id or a selector (did you mean `bastion`? for the instance of that Name write \"name=basion\")",
                "user.toml:7:1: `presets.dc.target` is \"zz\", expected the name of a target or alias, an id or a selector (for the instance of that Name write \"name=zz\")",
            ],
        ),
        (
            "[presets.db]\nhost = \"h\"\n",
            &[
                "user.toml:1:10: `presets.db` has no `port`: the port of the far end is expected",
                "user.toml:1:10: `presets.db` has no `target`: a target's name, an id or a selector is expected",
            ],
        ),
        (
            "[presets.db]\ntarget = []\nhost = \"h:1\"\nport = 65536\nlocal = -1\nbind = \"lo\"\nlazy = \"yes\"\nidle_timeout = \"5\"\nmax_age = \"0s\"\nsessions = 0\n",
            &[
                "user.toml:2:10: `presets.db.target` is a list, expected a string that is not empty, or a list of such that is not empty",
                "user.toml:3:8: `presets.db.host` is the string \"h:1\", expected a host name or an IP address, without a port",
                "user.toml:4:8: `presets.db.port` is the number 65536, expected a port: a number from 1 to 65535",
                "user.toml:5:9: `presets.db.local` is the number -1, expected a port from 0 to 65535 (0: a free one), or the absolute path of a Unix socket",
                "user.toml:6:8: `presets.db.bind` is the string \"lo\", expected \"loopback\" or an IP address",
                "user.toml:7:8: `presets.db.lazy` is the string \"yes\", expected true or false",
                "user.toml:8:16: `presets.db.idle_timeout` is the string \"5\", expected a length of time above zero, such as \"30m\" or \"1h30m\"",
                "user.toml:9:11: `presets.db.max_age` is the string \"0s\", expected a length of time above zero, such as \"30m\" or \"1h30m\"",
                "user.toml:10:12: `presets.db.sessions` is the number 0, expected a number from 1 to 32",
            ],
        ),
        (
            "[presets.db]\ntarget = \"name=x\"\nport = \"5432\"\n",
            &[
                "user.toml:3:8: `presets.db.port` is the string \"5432\", expected a port: a number from 1 to 65535 (write it without quotes: 5432)",
            ],
        ),
        (
            "[presets.prod-db]\ntarget = \"name=x\"\nport = 1\n[groups]\na = [\"prod-bd\"]\nb = []\nc = [\"prod-db\", \"prod-db\"]\n",
            &[
                "user.toml:5:1: `groups.a` has \"prod-bd\", expected the name of a preset (did you mean `prod-db`?)",
                "user.toml:6:1: `groups.b` is empty, expected names of presets",
                "user.toml:7:1: `groups.c` has \"prod-db\" twice",
            ],
        ),
        (
            "[targets.a]\nextends = \"b\"\n[targets.b]\nextends = \"a\"\nname = \"x\"\n",
            &["user.toml:2:1: `targets.a.extends` is a loop: a → b → a"],
        ),
        (
            "[targets.base]\nname = \"x\"\n[targets.a]\nextends = \"bsae\"\nid = \"i-01234567\"\n[targets.s]\nextends = \"s\"\nname = \"y\"\n",
            &[
                "user.toml:4:1: `targets.a.extends` is \"bsae\", expected the name of an entry of `[targets]` (did you mean `base`?)",
                "user.toml:7:1: `targets.s.extends` is \"s\", expected the name of an entry of `[targets]`",
            ],
        ),
        (
            "[profiles.p]\nstream_endpoint = \"https://x/y\"\nfederation_endpoint = \"http://evil\"\nmfa_command = []\n",
            &[
                "user.toml:2:19: `profiles.p.stream_endpoint` is the string \"https://x/y\", expected a host name, with a port or without, or every host of a domain by \"*.domain\"",
                "user.toml:3:23: `profiles.p.federation_endpoint` is the string \"http://evil\", expected a URL that begins with https:// (or http:// on loopback)",
                "user.toml:4:15: `profiles.p.mfa_command` is a list, expected a string that is not empty, or a list of such that is not empty",
            ],
        ),
        (
            "[defaults]\nescape_char = \"ab\"\npayload_limit = \"3 apples\"\nkeepalive = \"on\"\ndocument = \"a b\"\n",
            &[
                "user.toml:2:15: `defaults.escape_char` is the string \"ab\", expected one printable ASCII character, or \"none\"",
                "user.toml:3:17: `defaults.payload_limit` is the string \"3 apples\", expected a number of bytes, such as \"1024\", \"32KiB\" or \"2MiB\"",
                "user.toml:4:13: `defaults.keepalive` is the string \"on\", expected \"off\" or a length of time, such as \"5m\"",
                "user.toml:5:12: `defaults.document` is the string \"a b\", expected the name of a session document (letters, digits and _ - . : /) or its ARN",
            ],
        ),
    ];
    for (text, expected) in cases {
        let mut told = World::new().user(text).problems();
        told.sort_by_key(|line| line.split(':').nth(1).and_then(|n| n.parse::<u32>().ok()));
        assert_eq!(told, *expected, "{text}");
    }
}
