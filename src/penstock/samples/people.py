"""Names, places and numbers of made-up people, by nationality. All invented for this purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Nation:
    """What the people of a country have in common.

    In ``postcode``, ``phone``, ``cell`` and ``id_format``, ``#`` stands for a digit and ``@`` for a letter. A name
    that is not written in Latin letters has its transcription behind a slash. ``number`` tells whether the postcode is
    a number; ``id_name`` is empty where no identity number is made up.
    """

    code: str
    country: str
    women: Sequence[str]
    men: Sequence[str]
    last: Sequence[str]
    streets: Sequence[str]
    places: Sequence[tuple[str, str]]
    postcode: str
    number: bool
    phone: str
    cell: str
    id_name: str = ""
    id_format: str = ""


def _nation(
    code: str,
    country: str,
    women: str,
    men: str,
    last: str,
    streets: str,
    places: str,
    postcode: str,
    phones: str,
    id_: str = "",
) -> Nation:
    """Lists are split at blanks, or at commas where names may hold blanks; a place is ``city:state``."""
    phone, cell = phones.split("|")
    id_name, _, id_format = id_.partition(" ")
    return Nation(
        code=code,
        country=country,
        women=women.split(),
        men=men.split(),
        last=last.split(),
        streets=streets.split(", "),
        places=[(city, state) for city, _, state in (place.partition(":") for place in places.split(", "))],
        postcode=postcode,
        number=postcode.strip("#") == "",
        phone=phone,
        cell=cell,
        id_name=id_name,
        id_format=id_format,
    )


NATIONS = (
    _nation("AU", "Australia", "Matilda Isla Ruby Zara", "Jack Lachlan Hamish Archie", "Cobden Wirra Tallis Brumby",
            "Wattle Street, Jetty Road, Banksia Avenue", "Ballarat:Victoria, Cairns:Queensland, Hobart:Tasmania",
            "####", "0#-####-####|04##-###-###", "TFN #########"),
    _nation("BR", "Brazil", "Iara Luana Bruna Célia", "Caio Davi Otávio Renan", "Moreira Prado Sampaio Arruda",
            "Rua das Palmeiras, Avenida do Porto, Rua da Serra", "Manaus:Amazonas, Recife:Pernambuco, Santos:São Paulo",
            "#####", "(##) ####-####|(##) ####-####", "CPF ###.###.###-##"),
    _nation("CA", "Canada", "Chloe Maëlle Avery Simone", "Liam Étienne Logan Noah", "Tremont Lavoie Fraser Pelletier",
            "Maple Crescent, Lake Road, Mill Lane", "Moncton:New Brunswick, Red Deer:Alberta, Laval:Québec",
            "@#@ #@#", "### ###-####|### ###-####", "SIN #########"),
    _nation("CH", "Switzerland", "Seraina Lia Noémie Elena", "Reto Luca Basile Urs", "Ammann Gerber Favre Rossi",
            "Rue du Lac, Dorfstrasse, Via al Ponte", "Chur:Graubünden, Vevey:Vaud, Lugano:Ticino",
            "####", "0## ### ## ##|07# ### ## ##", "AVS 756.####.####.##"),
    _nation("DE", "Germany", "Frieda Käthe Lotte Johanna", "Emil Jörg Matthis Hinnerk", "Ackermann Lüders Seiler Vogt",
            "Lindenweg, Am Hafen, Schulstraße", "Kiel:Schleswig-Holstein, Jena:Thüringen, Ulm:Baden-Württemberg",
            "#####", "0###-#######|017#-#######", "SVNR ## ###### @ ###"),
    _nation("DK", "Denmark", "Freja Signe Maja Ellen", "Magnus Søren Villads Aksel", "Lund Bæk Thygesen Holm",
            "Strandvej, Møllevej, Kirkegade", "Ribe:Syddanmark, Skive:Midtjylland, Køge:Sjælland",
            "####", "########|########", "CPR ######-####"),
    _nation("ES", "Spain", "Lucía Inés Noa Carmen", "Hugo Íñigo Martín Pau", "Olmedo Ferrer Zabala Quiroga",
            "Calle del Olivo, Paseo del Mar, Calle Mayor", "Gijón:Asturias, Lleida:Cataluña, Lorca:Murcia",
            "#####", "9##-###-###|6##-###-###", "DNI ########-@"),
    _nation("FI", "Finland", "Aino Helmi Säde Venla", "Onni Väinö Eino Aarni", "Mäkelä Niskanen Salo Rantala",
            "Koivutie, Satamakatu, Mäkitie", "Oulu:North Ostrobothnia, Turku:Finland Proper, Lahti:Päijät-Häme",
            "#####", "0#-###-###|04#-###-##-##", "HETU ######-###@"),
    _nation("FR", "France", "Léonie Manon Zoé Capucine", "Théo Gabin Loïc Maxence", "Delorme Guérin Vasseur Lacombe",
            "Rue des Tilleuls, Quai du Port, Avenue des Pins", "Brest:Finistère, Nîmes:Gard, Pau:Pyrénées-Atlantiques",
            "#####", "0#-##-##-##-##|06-##-##-##-##", "INSEE #############"),
    _nation("GB", "United Kingdom", "Poppy Freya Imogen Elsie", "Alfie Rhys Callum Rupert",
            "Thatcher Penrose Braith Macrae", "Mill Lane, Station Road, Church Street",
            "Truro:Cornwall, Perth:Tayside, Bangor:Gwynedd",
            "@@# #@@", "01### ######|07### ######", "NINO @@ ## ## ## @"),
    _nation("IE", "Ireland", "Aoife Saoirse Niamh Orla", "Cillian Oisín Darragh Fionn",
            "Brannigan Devane Keogh Tierney",
            "Quay Street, Abbey Road, Harbour View", "Sligo:Sligo, Tralee:Kerry, Athlone:Westmeath",
            "#####", "0##-###-####|08#-###-####", "PPS #######@"),
    _nation("IN", "India", "Ananya Diya Meera Kavya", "Arjun Rohan Vivaan Ishaan", "Deshmukh Nambiar Solanki Bhatt",
            "Temple Road, Lotus Lane, Market Street", "Mysuru:Karnataka, Nashik:Maharashtra, Kochi:Kerala",
            "#####", "##########|##########", "UIDAI ############"),
    _nation("IR", "Iran", "آوا/Ava نیکا/Nika سارا/Sara یاسمن/Yasaman", "آرمان/Arman کیان/Kian سام/Sam پارسا/Parsa",
            "کریمی/Karimi رستمی/Rostami مرادی/Moradi نظری/Nazari", "بهار, گلستان, آزادی",
            "شیراز:فارس, یزد:یزد, رشت:گیلان", "#####", "0##-########|09##-###-####"),
    _nation("MX", "Mexico", "Ximena Renata Itzel Paloma", "Emiliano Iker Joaquín Beto", "Cárdenas Olvera Tovar Zepeda",
            "Calle Jacaranda, Avenida del Sol, Calle Agave", "Puebla:Puebla, Mérida:Yucatán, Tepic:Nayarit",
            "#####", "(6##) ### ####|(6##) ### ####", "NSS ## ## ## #### #"),
    _nation("NL", "Netherlands", "Fenna Saar Lotte Jet", "Bram Sjoerd Thijs Koen", "Terpstra Boersma Kuiper Hoekstra",
            "Molenweg, Havenstraat, Lindelaan", "Sneek:Friesland, Goes:Zeeland, Assen:Drenthe",
            "#### @@", "(0###) ######|(06) ########", "BSN #########"),
    _nation("NO", "Norway", "Ingrid Solveig Tuva Åse", "Sindre Håkon Eirik Øyvind", "Bakke Fossum Nygård Tveit",
            "Fjordveien, Bjørkelia, Havnegata", "Bodø:Nordland, Molde:Møre og Romsdal, Hamar:Innlandet",
            "0###", "########|4#######", "FN ###########"),
    _nation("NZ", "New Zealand", "Aria Mila Kiri Willow", "Nikau Hunter Tane Cooper", "Awatere Hastie Rangi Weston",
            "Kauri Road, Beach Street, Fern Lane", "Nelson:Tasman, Napier:Hawke's Bay, Timaru:Canterbury",
            "#####", "(0##)-###-####|(02#)-###-####"),
    _nation("RS", "Serbia", "Milica Anđela Iva Žana", "Luka Đorđe Vuk Miloš", "Petković Stojić Ilić Živanov",
            "Lipova, Dunavska, Školska", "Niš:Nišava, Subotica:North Bačka, Čačak:Moravica",
            "#####", "0##-####-###|06#-####-###", "SID #########"),
    _nation("TR", "Turkey", "Elif Zeynep Defne Işıl", "Emre Çağan Kerem Ömer", "Aydın Korkmaz Şener Yalçın",
            "Gül Sokak, Liman Caddesi, Çınar Yolu", "Bursa:Marmara, Trabzon:Karadeniz, Muğla:Ege",
            "#####", "(###)-###-####|(5##)-###-####"),
    _nation("UA", "Ukraine", "Олена/Olena Дарина/Daryna Зоряна/Zoriana Софія/Sofiia",
            "Тарас/Taras Богдан/Bohdan Юрій/Yurii Остап/Ostap",
            "Коваль/Koval Мельник/Melnyk Бойко/Boiko Гайда/Haida", "Садова, Шкільна, Лугова",
            "Полтава:Полтавська, Луцьк:Волинська, Суми:Сумська",
            "#####", "(0##) ###-####|(09#) ###-####"),
    _nation("US", "United States", "Harper Nora Savannah June", "Wyatt Mason Elijah Theo",
            "Calloway Bishop Truitt Lang",
            "Cedar Drive, Elm Street, Ridge Avenue", "Boise:Idaho, Macon:Georgia, Duluth:Minnesota",
            "#####", "(###) ###-####|(###) ###-####", "SSN ###-##-####"),
)  # fmt: skip

ZONES = (
    ("-8:00", "Vancouver, Seattle"),
    ("-5:00", "Bogota, New York, Toronto"),
    ("-3:30", "St. John's"),
    ("-3:00", "Buenos Aires, Recife"),
    ("0:00", "Accra, Lisbon, London"),
    ("+1:00", "Berlin, Lagos, Oslo, Paris"),
    ("+2:00", "Athens, Cairo, Helsinki"),
    ("+3:30", "Tehran"),
    ("+5:30", "Chennai, Delhi, Pune"),
    ("+9:30", "Adelaide, Darwin"),
    ("+12:00", "Auckland, Suva"),
)
QUALITIES = (
    "amber",
    "brave",
    "calm",
    "dusty",
    "eager",
    "frosty",
    "gentle",
    "hazel",
    "ivory",
    "jolly",
    "keen",
    "lilac",
    "mellow",
    "quiet",
    "rusty",
    "silver",
)
ANIMALS = (
    "badger",
    "crane",
    "dormouse",
    "egret",
    "ferret",
    "gecko",
    "heron",
    "ibex",
    "jackdaw",
    "lynx",
    "marten",
    "newt",
    "otter",
    "plover",
    "raven",
    "stoat",
)
PASSWORDS = (
    "lighthouse",
    "paprika",
    "quicksand",
    "rainfall",
    "sailcloth",
    "thunder",
    "umbrella",
    "vanilla",
    "waterfall",
    "zeppelin",
    "kettle",
)
