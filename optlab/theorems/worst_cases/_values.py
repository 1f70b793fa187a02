"""Worst cases of the classes, by check: written by `_write`, not by hand."""

from math import inf as INFINITY

VALUES: dict = {
    "worst-bregman-gap-any-0-3": {
        "value": [3.3333333624689185, 1.6666666676073914],
        "control": [INFINITY, INFINITY],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-gap-any-0-5": {
        "value": [2.0000000124000143, 1.000000000454106],
        "control": [INFINITY, INFINITY],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-gap-any-1": {
        "value": [1.000000001785615, 0.5000000007709128],
        "control": [INFINITY, INFINITY],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-gap-euclidean-0-3": {
        "value": [1.6666666561970103, 1.1111110646563598],
        "control": [INFINITY, INFINITY],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-gap-euclidean-0-5": {
        "value": [1.0000000004107412, 0.6666666670030521],
        "control": [INFINITY, INFINITY],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-gap-euclidean-1": {
        "value": [0.5000000009387844, 0.33333333489574407],
        "control": [INFINITY, INFINITY],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-linear-any-0-3": {
        "value": [0.9433962265560367, 0.8396192828170964],
        "control": [0.9999999994668382, 0.9999999996358453],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-linear-any-0-5": {
        "value": [0.9090909148440585, 0.7513148006385268],
        "control": [0.9999999995297739, 0.9999999984013336],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-linear-any-1": {
        "value": [0.8333333341068895, 0.5787037048891668],
        "control": [1.0000000144463115, 1.0000000154681632],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-linear-euclidean-0-3": {
        "value": [0.8899964428697998, 0.7049605415850128],
        "control": [1.0000000024420916, 1.000000001371794],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-linear-euclidean-0-5": {
        "value": [0.8264462823229453, 0.5644739339154339],
        "control": [1.0000000033056426, 1.0000000047531348],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-linear-euclidean-1": {
        "value": [0.694444449152899, 0.3348979824505121],
        "control": [1.0000000027088374, 1.0000000735549743],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-proximal-gradient-0-3": {
        "value": [3.3333333331013657, 1.6666666666703187, 0.8333333333364349],
        "control": [INFINITY, INFINITY, INFINITY],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-bregman-proximal-gradient-1": {
        "value": [1.0000000003056893, 0.49999999955144875, 0.25000000033741876],
        "control": [INFINITY, INFINITY, INFINITY],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-davis-yin-residual": {
        "value": [0.427540891881129, 0.23590167628069325, 0.12766899879699434],
        "control": [14.062500321933447, 31.640624754268263, 160.17970448707072],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-distance-0-5": {
        "value": [1.0000000011967958, 1.0000000050546132, 1.0000000569490402],
        "control": [2.5600000070689184, 6.553599822514349, 42.949669885180185],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-distance-1": {
        "value": [1.000000022054793, 1.00000000951179, 1.000000007722277],
        "control": [2.5600000070689184, 6.553599822514349, 42.949669885180185],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-distance-1-5": {
        "value": [1.0000000094221682, 1.0000000131885076, 1.0000000010170067],
        "control": [2.5600000070689184, 6.553599822514349, 42.949669885180185],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-distance-2": {
        "value": [1.0000000261542188, 1.0000000010825332, 1.000000008215981],
        "control": [2.5600000070689184, 6.553599822514349, 42.949669885180185],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-0-1-1": {
        "value": [0.8264462844977642, 0.6830134556651356],
        "control": [1.0000000001921112, 1.0000000011145918],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-0-1-1-5": {
        "value": [0.7458677705600988, 0.5563187298925744],
        "control": [1.0000000043650383, 1.0000000015072448],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-0-316-1": {
        "value": [0.5772154056459651, 0.33317761053398204],
        "control": [1.0000000026996787, 1.0000000033782526],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-0-316-1-5": {
        "value": [0.4091142547523562, 0.16737446834265887],
        "control": [1.0000000052788212, 1.0000000021585898],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-0-5-1": {
        "value": [0.694444445352967, 0.4822530936046185],
        "control": [1.000000001521937, 1.0000000153718551],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-0-5-1-5": {
        "value": [0.5625000002860284, 0.3164062506661123],
        "control": [1.0000000022114854, 1.000000008566333],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-1-1": {
        "value": [0.8264462854118957, 0.6830135022473353],
        "control": [1.000000020090425, 1.0000000152893305],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-1-1-5": {
        "value": [0.7458677694497954, 0.5563187498976081],
        "control": [1.0000000085908025, 1.0000000154115236],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-3-1": {
        "value": [0.9365244592751097, 0.8770780532081888],
        "control": [1.0000000027992302, 1.0000000233756985],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-linear-3-1-5": {
        "value": [0.9055671336617036, 0.8200518249317411],
        "control": [1.0000000010523185, 1.0000000229575783],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-residual-0-25": {
        "value": [0.04000000162836827, 0.02777777872310626, 0.015625000225113497],
        "control": [17.305600006586047, 44.30233484159241, 290.33964001289587],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-residual-0-5": {
        "value": [0.11111111144886521, 0.0625000012355112, 0.0277777793163605],
        "control": [17.305600006586047, 44.30233484159241, 290.33964001289587],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-residual-0-75": {
        "value": [0.18367347185977317, 0.09000000417601212, 0.0491520006936267],
        "control": [17.305600006586047, 44.30233484159241, 290.33964001289587],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-residual-1": {
        "value": [0.25000000113033627, 0.14814814995923606, 0.08192000077236196],
        "control": [17.305600006586047, 44.30233484159241, 290.33964001289587],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-residual-1-25": {
        "value": [0.4166666679642133, 0.24691358264500632, 0.13653333413648674],
        "control": [17.305600006586047, 44.30233484159241, 290.33964001289587],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-residual-1-5": {
        "value": [0.7500000091441379, 0.4444444457714622, 0.24576000486700103],
        "control": [17.305600006586047, 44.30233484159241, 290.33964001289587],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-residual-1-75": {
        "value": [1.722656249506531, 1.03703704218058, 0.5734400130810821],
        "control": [17.305600006586047, 44.30233484159241, 290.33964001289587],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-dr-residual-exact": {
        "value": [0.25000000113033627, 0.14814814995923606, 0.08192000077236196],
        "control": [17.305600006586047, 44.30233484159241, 290.33964001289587],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-extragradient-0-5": {
        "value": [0.8125000002595085, 0.6740984210357657, 0.46565493786625456],
        "control": [3.812500000646512, 14.535156241379322, 211.27076703889833],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-extragradient-0-7": {
        "value": [0.7501000002502902, 0.562650011357311, 0.3533873758255153],
        "control": [3.812500000646512, 14.535156241379322, 211.27076703889833],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-fast-extragradient": {
        "value": [1.9999999990645867, 0.9999999992247202, 0.2500000011283648, 0.11111111697180001],
        "control": [3.2499999947589315, 2.384956406929906, 6.65140146428404, 37.2159962471552],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-fista-gap": {
        "value": [0.1250000021059535, 0.037511612826165386, 0.012647122408106429],
        "control": [0.1250000021059535, 0.05000000080328474, 0.0250000093376797],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-fista-strong": {
        "value": [0.5479387748215439, 0.21538970332092397, 0.0447496193369854],
        "control": [0.5479387748215439, 0.3104934494121295, 0.15173497274484804],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-gradient-gap": {
        "value": [0.16666667252389805, 0.10000000094664617, 0.05555555583226297],
        "control": [0.7199999968249496, 1.0367999677821638, 2.1499085196392556],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-gradient-step-0-5": {
        "value": [0.9025000209255013],
        "control": [4.0000000055918745],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-gradient-step-1": {
        "value": [0.8100000025588967],
        "control": [4.0000000055918745],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-gradient-step-1-5": {
        "value": [0.7225000021450577],
        "control": [4.0000000055918745],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-gradient-step-1-8": {
        "value": [0.6724000022743571],
        "control": [4.0000000055918745],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-halpern-0-5": {
        "value": [0.16000000092406674, 0.08163265368136303],
        "control": [1.8571429584409447, 2.5261736252262432],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-halpern-1": {
        "value": [0.4444444513161036, 0.1600000099250746],
        "control": [1.8571429584409447, 2.5261736252262432],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-halpern-1-5": {
        "value": [0.7346938879193042, 0.21301776007743234],
        "control": [1.8571429584409447, 2.5261736252262432],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-halpern-2": {
        "value": [1.0000000065828667, 0.25000000526811367],
        "control": [1.8571429584409447, 2.5261736252262432],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-halpern-finding": {
        "value": [0.4444444513161036, 0.25000000860371907, 0.1600000099250746, 0.08163266204531504],
        "control": [1.0000000065828667, 0.44444448739101666, 0.25000000526811367, 0.11111111383171342],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-halpern-wrapper-0-5": {
        "value": [0.16000000092406674, 0.08163265368136303],
        "control": [1.8571429584409447, 2.5261736252262432],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-halpern-wrapper-1": {
        "value": [0.4444444513161036, 0.1600000099250746],
        "control": [1.8571429584409447, 2.5261736252262432],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-halpern-wrapper-1-5": {
        "value": [0.7346938879193042, 0.21301776007743234],
        "control": [1.8571429584409447, 2.5261736252262432],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-halpern-wrapper-2": {
        "value": [1.0000000065828667, 0.25000000526811367],
        "control": [1.8571429584409447, 2.5261736252262432],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-heavy-ball": {
        "value": [0.9024999532381609, 0.7534931391559496, 0.43678798791982304],
        "control": [0.9999994219745051, 0.9999994120008688, 0.9999988748137639],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-ngn-step-0-5-0-1": {
        "value": [0.9070294997761649],
        "control": [4.0000000055918745],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-ngn-step-0-5-0-4": {
        "value": [0.6944444574605126],
        "control": [4.0000000109247225],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-ngn-step-1-0-1": {
        "value": [0.8306033016785586],
        "control": [4.0000000055918745],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-ngn-step-1-0-4": {
        "value": [0.5102228597050682],
        "control": [4.0000000109247225],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-ngn-step-10-0-1": {
        "value": [0.6773893682361144],
        "control": [4.0000000055918745],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-ngn-step-10-0-4": {
        "value": [0.19658958462474121],
        "control": [4.0000000109247225],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-ngn-step-1000-0-1": {
        "value": [0.6694225811486125],
        "control": [4.0000000055918745],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-ngn-step-1000-0-4": {
        "value": [0.18367513088959536],
        "control": [4.0000000109247225],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-pr-residual": {
        "value": [4.00000000640772, 3.9999999668653756, 3.999999904043223],
        "control": [17.305600006586047, 44.30233484159241, 290.33964001289587],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-proximal-gradient-contraction": {
        "value": [0.7225000201130061, 0.5220062501320425, 0.37714953070843077],
        "control": [1.000000021434132, 1.0000000266041782, 1.0000000000259934],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-proximal-gradient-gap": {
        "value": [0.2500000093691786, 0.1250000021059535, 0.06250000085761054],
        "control": [0.720000012366779, 1.036799967588876, 2.1499082476651554],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-proximal-point-gap": {
        "value": [0.12500000153527965, 0.06250000031479296, 0.031250000277630474],
        "control": [0.2500000011390803, 0.12500000168472192, 0.06250000205184296],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-quadratic-gap-finding-0-3": {
        "value": [1.6666666561970103, 1.1111110646563598, 0.6666666578191156],
        "control": [3.3333333624689185, 1.6666666676073914, 0.8333333415863747],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-quadratic-gap-finding-1": {
        "value": [0.5000000009387844, 0.33333333489574407, 0.2000000004055536],
        "control": [1.000000001785615, 0.5000000007709128, 0.24999999875291667],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-quadratic-linear-finding-0-3": {
        "value": [0.8899964428697998, 0.7049605415850128],
        "control": [0.9433962265560367, 0.8396192828170964],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
    "worst-quadratic-linear-finding-1": {
        "value": [0.694444449152899, 0.3348979824505121],
        "control": [0.8333333341068895, 0.5787037048891668],
        "solvers": "pepit 0.5.1 clarabel 0.11.1 scs 3.3.1",
    },
}
