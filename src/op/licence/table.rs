//! Licences by their ids on the Hugging Face Hub, with a class and what they ask for.
//!
//! Source: the Hub's list of licences; the class is a short summary of each text.

use super::Class;

/// One licence.
pub(super) struct Licence {
    pub(super) id: &'static str,
    pub(super) class: Class,
    /// What it asks for beyond its class, a clause or two; empty for nothing of note.
    pub(super) asks: &'static str,
}

const fn licence(id: &'static str, class: Class, asks: &'static str) -> Licence {
    Licence { id, class, asks }
}

const NOTICE: &str = "keep the copyright notice and the licence's text";
const COPYLEFT: &str = "derivatives are shared under the same licence";
const RAIL: &str = "its use-based restrictions must be passed on with every derivative";
const LLAMA: &str = "acceptable-use policy; `Built with Llama` and the name `Llama` in derivatives' names; \
    a licence of its own above 700 million monthly users";
const LLAMA_3: &str = "acceptable-use policy; `Built with Meta Llama 3` and `Llama 3` in derivatives' names; \
    not to improve other language models; a licence of its own above 700 million monthly users";
const LLAMA_VISION: &str = "acceptable-use policy; `Built with Llama` and the name `Llama` in derivatives' names; \
    a licence of its own above 700 million monthly users; multimodal models not for those who reside in the EU";
const NO_DERIVATIVES: &str =
    "no changed copies may be shared, converted and quantised ones in doubt";

/// The table, by id.
#[rustfmt::skip]
pub(super) const LICENCES: &[Licence] = &[
    licence("apache-2.0", Class::Permissive, "keep notices, state changes, pass on the licence"),
    licence("mit", Class::Permissive, NOTICE),
    licence("bsd-2-clause", Class::Permissive, NOTICE),
    licence("bsd-3-clause", Class::Permissive, NOTICE),
    licence("bsd-3-clause-clear", Class::Permissive, NOTICE),
    licence("bsl-1.0", Class::Permissive, NOTICE),
    licence("isc", Class::Permissive, NOTICE),
    licence("zlib", Class::Permissive, NOTICE),
    licence("ncsa", Class::Permissive, NOTICE),
    licence("postgresql", Class::Permissive, NOTICE),
    licence("unlicense", Class::Permissive, ""),
    licence("wtfpl", Class::Permissive, ""),
    licence("cc0-1.0", Class::Permissive, ""),
    licence("cc-by-2.0", Class::Permissive, "name the authors"),
    licence("cc-by-2.5", Class::Permissive, "name the authors"),
    licence("cc-by-3.0", Class::Permissive, "name the authors"),
    licence("cc-by-4.0", Class::Permissive, "name the authors"),
    licence("pddl", Class::Permissive, ""),
    licence("odc-by", Class::Permissive, "name the source"),
    licence("cdla-permissive-1.0", Class::Permissive, ""),
    licence("cdla-permissive-2.0", Class::Permissive, ""),
    licence("ms-pl", Class::Permissive, NOTICE),
    licence("artistic-2.0", Class::Permissive, NOTICE),
    licence("afl-3.0", Class::Permissive, NOTICE),
    licence("ecl-2.0", Class::Permissive, NOTICE),
    licence("ofl-1.1", Class::Permissive, NOTICE),
    licence("etalab-2.0", Class::Permissive, "name the source"),
    licence("lppl-1.3c", Class::Permissive, NOTICE),
    licence("c-uda", Class::Permissive, ""),
    licence("openmdw-1.0", Class::Permissive, NOTICE),
    licence("openmdw-1.1", Class::Permissive, NOTICE),
    licence("agpl-3.0", Class::ShareAlike, "derivatives are shared under the same licence, to users over a network too"),
    licence("gpl-2.0", Class::ShareAlike, COPYLEFT),
    licence("gpl-3.0", Class::ShareAlike, COPYLEFT),
    licence("lgpl-2.1", Class::ShareAlike, COPYLEFT),
    licence("lgpl-3.0", Class::ShareAlike, COPYLEFT),
    licence("lgpl-lr", Class::ShareAlike, COPYLEFT),
    licence("mpl-2.0", Class::ShareAlike, "changed files are shared under the same licence"),
    licence("epl-1.0", Class::ShareAlike, COPYLEFT),
    licence("epl-2.0", Class::ShareAlike, COPYLEFT),
    licence("eupl-1.1", Class::ShareAlike, COPYLEFT),
    licence("eupl-1.2", Class::ShareAlike, COPYLEFT),
    licence("osl-3.0", Class::ShareAlike, COPYLEFT),
    licence("cc-by-sa-3.0", Class::ShareAlike, COPYLEFT),
    licence("cc-by-sa-4.0", Class::ShareAlike, COPYLEFT),
    licence("gfdl", Class::ShareAlike, COPYLEFT),
    licence("odbl", Class::ShareAlike, COPYLEFT),
    licence("cdla-sharing-1.0", Class::ShareAlike, COPYLEFT),
    licence("openrail", Class::UseRestricted, RAIL),
    licence("openrail++", Class::UseRestricted, RAIL),
    licence("creativeml-openrail-m", Class::UseRestricted, RAIL),
    licence("bigscience-openrail-m", Class::UseRestricted, RAIL),
    licence("bigscience-bloom-rail-1.0", Class::UseRestricted, RAIL),
    licence("bigcode-openrail-m", Class::UseRestricted, RAIL),
    licence("llama2", Class::UseRestricted, "acceptable-use policy; not to improve other language models; a licence of its own above 700 million monthly users"),
    licence("llama3", Class::UseRestricted, LLAMA_3),
    licence("llama3.1", Class::UseRestricted, LLAMA),
    licence("llama3.2", Class::UseRestricted, LLAMA_VISION),
    licence("llama3.3", Class::UseRestricted, LLAMA),
    licence("llama4", Class::UseRestricted, LLAMA_VISION),
    licence("gemma", Class::UseRestricted, "prohibited-use policy, passed on with every derivative"),
    licence("grok2-community", Class::UseRestricted, "community licence with its own terms"),
    licence("stabilityai-ai-community", Class::UseRestricted, "free below 1 million dollars of yearly revenue; acceptable-use policy"),
    licence("nvidia-open-model-license", Class::UseRestricted, "vendor's terms"),
    licence("deepseek", Class::UseRestricted, "use-based restrictions, passed on with every derivative"),
    licence("hunyuan-community", Class::UseRestricted, "not in the EU, the UK and South Korea; a licence of its own above 100 million monthly users"),
    licence("tongyi-qianwen", Class::UseRestricted, "a licence of its own above 100 million monthly users"),
    licence("apple-ascl", Class::UseRestricted, "vendor's terms for sample code"),
    licence("cc-by-nd-4.0", Class::NoDerivatives, NO_DERIVATIVES),
    licence("cc-by-nc-2.0", Class::NonCommercial, "name the authors"),
    licence("cc-by-nc-3.0", Class::NonCommercial, "name the authors"),
    licence("cc-by-nc-4.0", Class::NonCommercial, "name the authors"),
    licence("cc-by-nc-sa-2.0", Class::NonCommercial, COPYLEFT),
    licence("cc-by-nc-sa-3.0", Class::NonCommercial, COPYLEFT),
    licence("cc-by-nc-sa-4.0", Class::NonCommercial, COPYLEFT),
    licence("cc-by-nc-nd-3.0", Class::NonCommercial, NO_DERIVATIVES),
    licence("cc-by-nc-nd-4.0", Class::NonCommercial, NO_DERIVATIVES),
    licence("flux-1-dev-non-commercial-license", Class::NonCommercial, "outputs may be used, the model and its derivatives not commercially"),
    licence("sai-nc-community", Class::NonCommercial, ""),
    licence("stable-cascade-nc-community", Class::NonCommercial, ""),
    licence("coqui-public-model-license", Class::NonCommercial, "outputs too"),
    licence("mnpl", Class::NonCommercial, ""),
    licence("fair-noncommercial-research-license", Class::ResearchOnly, ""),
    licence("apple-amlr", Class::ResearchOnly, ""),
    licence("intel-research", Class::ResearchOnly, ""),
    licence("h-research", Class::ResearchOnly, ""),
    licence("mrl", Class::ResearchOnly, ""),
    licence("qwen-research", Class::ResearchOnly, ""),
    licence("deepfloyd-if-license", Class::ResearchOnly, ""),
    licence("exaone", Class::ResearchOnly, ""),
];

/// Ids that name several licences at once.
pub(super) const UNSPECIFIC: &[&str] = &["cc", "bsd", "gpl", "lgpl", "other"];

/// Other spellings: old ids, SPDX's, those of people.
#[rustfmt::skip]
pub(super) const SPELLINGS: &[(&str, &str)] = &[
    ("apache", "apache-2.0"), ("apache2", "apache-2.0"), ("apache-2", "apache-2.0"), ("apache-license-2.0", "apache-2.0"), ("apache2.0", "apache-2.0"),
    ("mit-license", "mit"), ("the-mit-license", "mit"),
    ("llama-2", "llama2"), ("llama-3", "llama3"), ("llama-3.1", "llama3.1"), ("llama-3.2", "llama3.2"), ("llama-3.3", "llama3.3"),
    ("llama2-community", "llama2"), ("openrail-m", "openrail"), ("creativeml-open-rail-m", "creativeml-openrail-m"), ("creativeml-openrail++-m", "openrail++"),
    ("creativeml-open-rail++-m", "openrail++"), ("openrail++-m", "openrail++"),
    ("gpl-2.0-only", "gpl-2.0"), ("gpl-2.0-or-later", "gpl-2.0"), ("gpl-3.0-only", "gpl-3.0"), ("gpl-3.0-or-later", "gpl-3.0"), ("gplv3", "gpl-3.0"), ("gplv2", "gpl-2.0"),
    ("agpl-3.0-only", "agpl-3.0"), ("agpl-3.0-or-later", "agpl-3.0"), ("agplv3", "agpl-3.0"),
    ("lgpl-3.0-only", "lgpl-3.0"), ("lgpl-3.0-or-later", "lgpl-3.0"), ("lgpl-2.1-only", "lgpl-2.1"), ("lgpl-2.1-or-later", "lgpl-2.1"),
    ("odbl-1.0", "odbl"), ("odc-by-1.0", "odc-by"), ("pddl-1.0", "pddl"), ("cc0", "cc0-1.0"), ("cc-zero", "cc0-1.0"),
    ("flux-1-dev-non-commercial", "flux-1-dev-non-commercial-license"), ("flux.1-dev-non-commercial-license", "flux-1-dev-non-commercial-license"),
    ("stabilityai-community", "stabilityai-ai-community"), ("stability-ai-community-license", "stabilityai-ai-community"),
    ("cpml", "coqui-public-model-license"), ("gemma-terms-of-use", "gemma"), ("qwen", "tongyi-qianwen"), ("deepseek-license", "deepseek"),
    ("tencent-hunyuan-community", "hunyuan-community"),
];

/// Parts of texts and addresses, in lower case, by which a licence is known. The first that
/// occurs decides, so narrower ones stand first.
#[rustfmt::skip]
pub(super) const TEXTS: &[(&str, &str)] = &[
    ("flux.1 [dev] non-commercial license", "flux-1-dev-non-commercial-license"),
    ("stability ai community license", "stabilityai-ai-community"),
    ("stability ai non-commercial", "sai-nc-community"),
    ("creativeml open rail++-m", "openrail++"),
    ("creativeml open rail-m", "creativeml-openrail-m"),
    ("bigscience rail license", "bigscience-bloom-rail-1.0"),
    ("bigscience open rail-m", "bigscience-openrail-m"),
    ("bigcode open rail-m", "bigcode-openrail-m"),
    ("llama 4 community license", "llama4"),
    ("llama 3.3 community license", "llama3.3"),
    ("llama 3.2 community license", "llama3.2"),
    ("llama 3.1 community license", "llama3.1"),
    ("meta llama 3 community license", "llama3"),
    ("llama 2 community license", "llama2"),
    ("gemma terms of use", "gemma"),
    ("ai.google.dev/gemma/terms", "gemma"),
    ("tongyi qianwen license", "tongyi-qianwen"),
    ("qwen research license", "qwen-research"),
    ("deepseek license agreement", "deepseek"),
    ("tencent hunyuan", "hunyuan-community"),
    ("mistral ai research license", "mrl"),
    ("mistral ai non-production license", "mnpl"),
    ("nvidia open model license", "nvidia-open-model-license"),
    ("fair noncommercial research license", "fair-noncommercial-research-license"),
    ("coqui public model license", "coqui-public-model-license"),
    ("creativecommons.org/licenses/by-nc-nd/4.0", "cc-by-nc-nd-4.0"),
    ("creativecommons.org/licenses/by-nc-sa/4.0", "cc-by-nc-sa-4.0"),
    ("creativecommons.org/licenses/by-nc/4.0", "cc-by-nc-4.0"),
    ("creativecommons.org/licenses/by-nd/4.0", "cc-by-nd-4.0"),
    ("creativecommons.org/licenses/by-sa/4.0", "cc-by-sa-4.0"),
    ("creativecommons.org/licenses/by/4.0", "cc-by-4.0"),
    ("creativecommons.org/publicdomain/zero/1.0", "cc0-1.0"),
    ("attribution-noncommercial-noderivatives 4.0", "cc-by-nc-nd-4.0"),
    ("attribution-noncommercial-sharealike 4.0", "cc-by-nc-sa-4.0"),
    ("attribution-noncommercial 4.0", "cc-by-nc-4.0"),
    ("attribution-noderivatives 4.0", "cc-by-nd-4.0"),
    ("attribution-sharealike 4.0", "cc-by-sa-4.0"),
    ("attribution 4.0 international", "cc-by-4.0"),
    ("cc0 1.0 universal", "cc0-1.0"),
    ("gnu affero general public license", "agpl-3.0"),
    ("gnu lesser general public license version 3", "lgpl-3.0"),
    ("gnu general public license version 3", "gpl-3.0"),
    ("gnu general public license version 2", "gpl-2.0"),
    ("mozilla public license version 2.0", "mpl-2.0"),
    ("apache.org/licenses/license-2.0", "apache-2.0"),
    ("apache license version 2.0", "apache-2.0"),
    ("apache license 2.0", "apache-2.0"),
    ("opensource.org/licenses/mit", "mit"),
    ("permission is hereby granted, free of charge, to any person obtaining a copy", "mit"),
    ("redistribution and use in source and binary forms", "bsd-3-clause"),
    ("this is free and unencumbered software released into the public domain", "unlicense"),
];

/// Parts of the names of well-known models, in lower case, and the licence that their authors
/// published them under. The first that occurs decides.
#[rustfmt::skip]
pub(super) const MODELS: &[(&str, &str)] = &[
    ("flux.1-schnell", "apache-2.0"),
    ("flux.1-", "flux-1-dev-non-commercial-license"),
    ("stable-diffusion-3", "stabilityai-ai-community"),
    ("stable-diffusion-xl", "openrail++"),
    ("sdxl-turbo", "sai-nc-community"),
    ("stable-diffusion-2", "openrail++"),
    ("stable-diffusion-v1", "creativeml-openrail-m"),
    ("stable-diffusion-1", "creativeml-openrail-m"),
    ("stable-cascade", "stable-cascade-nc-community"),
    ("llama-4", "llama4"),
    ("llama-3.3", "llama3.3"),
    ("llama-3.2", "llama3.2"),
    ("llama-3.1", "llama3.1"),
    ("llama-3", "llama3"),
    ("llama-2", "llama2"),
    ("google/gemma", "gemma"),
    ("mistralai/mistral-7b", "apache-2.0"),
    ("mistralai/mixtral", "apache-2.0"),
    ("qwen/qwen3", "apache-2.0"),
    ("openai/whisper-large-v3-turbo", "mit"),
    ("openai/whisper", "apache-2.0"),
    ("openai/gpt-oss", "apache-2.0"),
    ("microsoft/phi", "mit"),
];

/// Families and variants that tensors prove, and the licence of the first of their kind.
#[rustfmt::skip]
pub(super) const FAMILIES: &[(&str, Option<&str>, &str)] = &[
    ("sd1", None, "creativeml-openrail-m"),
    ("sd2", None, "openrail++"),
    ("sdxl", Some("base"), "openrail++"),
    ("sdxl-refiner", None, "openrail++"),
    ("sd3", None, "stabilityai-ai-community"),
    ("flux", Some("schnell"), "apache-2.0"),
    ("flux", Some("dev"), "flux-1-dev-non-commercial-license"),
    ("flux", Some("fill"), "flux-1-dev-non-commercial-license"),
    ("flux", Some("canny-depth"), "flux-1-dev-non-commercial-license"),
    ("stable-cascade", None, "stable-cascade-nc-community"),
    ("gemma", None, "gemma"),
    ("gemma2", None, "gemma"),
    ("gemma3", None, "gemma"),
    ("llama4", None, "llama4"),
];
