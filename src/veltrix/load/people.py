"""Made-up people: common given and family names of a dozen locales, and addresses that reach nobody."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

DOMAINS: Final = ("example.com", "example.org", "example.net")  # RFC 2606: nobody lives there

# locale: given names, family names; a name that is not ASCII has its ASCII spelling behind a slash.
_NAMES: Final[dict[str, tuple[str, str]]] = {
    "en": (
        "Olivia Amelia Isla Grace Noah Oliver George Arthur Priya Imani",
        "Smith Jones Taylor Brown Williams Wilson Davies Patel Evans Okafor",
    ),
    "en-US": (
        "Emma Sophia Ava Mia Liam James Ethan Mason Jasmine Diego",
        "Johnson Miller Davis Garcia Martinez Anderson Thomas Jackson Nguyen Lee",
    ),
    "de": (
        "Anna Lena Jürgen/juergen Jonas Felix Käthe/kaethe Sabine Ömer/oemer Björn/bjoern",
        "Müller/mueller Schmidt Weber Schäfer/schaefer Koch Groß/gross Yılmaz/yilmaz Krüger/krueger",
    ),
    "de-CH": (
        "Reto Urs Beat Regula Vreni Nadja",
        "Keller Meier Huber Frei Zürcher/zuercher Gerber",
    ),
    "fr": (
        "Camille Léa/lea Chloé/chloe Louis Hugo Zoé/zoe François/francois Inès/ines Théo/theo",
        "Martin Bernard Dubois Lefèvre/lefevre Moreau Laurent Girard Benoît/benoit Diallo",
    ),
    "es": (
        "Lucía/lucia Sofía/sofia Hugo Mateo Begoña/begona José/jose Íñigo/inigo Carmen",
        "García/garcia Fernández/fernandez López/lopez Muñoz/munoz Pérez/perez Ruiz Núñez/nunez Vega",
    ),
    "it": (
        "Giulia Aurora Leonardo Francesco Niccolò/niccolo Matteo Chiara Elena Davide",
        "Rossi Russo Ferrari Esposito Bianchi Romano Colombo Ricci Marino Greco",
    ),
    "pl": (
        "Zuzanna Łucja/lucja Małgorzata/malgorzata Jakub Michał/michal Paweł/pawel Wojciech",
        "Nowak Kowalski Wiśniewska/wisniewska Wójcik/wojcik Kamiński/kaminski Mazur Król/krol",
    ),
    "pt-BR": (
        "Ana João/joao Júlia/julia Antônio/antonio Gabriel Conceição/conceicao",
        "Silva Souza Araújo/araujo Gonçalves/goncalves Lima",
    ),
    "nl": (
        "Sanne Daan Femke Bram Lotte Jeroen",
        "Jansen Bakker Visser Smit Mulder Bos",
    ),
    "sv": (
        "Åsa/asa Björn/bjorn Linnéa/linnea Örjan/orjan Elsa Nils",
        "Andersson Lindström/lindstrom Nyström/nystrom Berg Åkesson/akesson Holm",
    ),
    "tr": (
        "Ayşe/ayse Çağla/cagla Emre İpek/ipek Oğuz/oguz Gül/gul",
        "Yılmaz/yilmaz Demir Şahin/sahin Çelik/celik Öztürk/ozturk Aydın/aydin",
    ),
    "ja": (
        "さくら/sakura 陽翔/haruto 葵/aoi 蓮/ren 結衣/yui 大輔/daisuke",
        "佐藤/sato 鈴木/suzuki 高橋/takahashi 田中/tanaka 山本/yamamoto 中村/nakamura",
    ),
    "el": (
        "Μαρία/maria Γιώργος/giorgos Ελένη/eleni Νίκος/nikos",
        "Παπαδόπουλος/papadopoulos Γεωργίου/georgiou Οικονόμου/oikonomou Νικολάου/nikolaou",
    ),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody made up. `email` is unique in a run; `party` names those who come along."""

    name: str
    email: str
    locale: str
    party: tuple[str, ...] = ()


def _pairs(names: str) -> tuple[tuple[str, str], ...]:
    pairs = (name.partition("/") for name in names.split())
    return tuple((spelled, latin or spelled.lower()) for spelled, _, latin in pairs)


_PARSED: Final = [(locale, _pairs(given), _pairs(family)) for locale, (given, family) in _NAMES.items()]


def draw_person(random: Random, number: int, tag: str, seats: int) -> Person:
    """The person of that number in the run `tag`, with company for `seats` seats."""
    locale, given_names, family_names = random.choice(_PARSED)
    given, given_latin = random.choice(given_names)
    family, family_latin = random.choice(family_names)
    company = tuple(_full(locale, random.choice(given_names)[0], family) for _ in range(seats - 1))
    email = f"{given_latin}.{family_latin}.{tag}{number}@{random.choice(DOMAINS)}"
    return Person(_full(locale, given, family), email, locale, company)


def _full(locale: str, given: str, family: str) -> str:
    return f"{family} {given}" if locale == "ja" else f"{given} {family}"
